#include "cli/views.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>

namespace muster::cli {
namespace {

// The lines of a text, all but the first behind the label's width.
std::string besideLabel(const std::string& label, const std::string& lines) {
  std::string text;
  size_t begin = 0;
  while (begin < lines.size()) {
    size_t end = lines.find('\n', begin);
    if (end == std::string::npos) end = lines.size();
    text += labelled(text.empty() ? label : "", lines.substr(begin, end - begin));
    begin = end + 1;
  }
  return text;
}

std::string heading(const Json& deployment, const ViewOptions& options) {
  std::string text = "deployment " + deploymentOf(deployment, options);
  std::string action = textAt(deployment, "/action");
  std::string before = textAt(deployment, "/revision_before");
  std::string after = textAt(deployment, "/revision_after");
  if (action == "add") return text + "   new, revision " + after + "\n";
  if (action == "remove") return text + "   is removed\n";
  if (before == after) return text + "   revision " + after + ", no changes\n";
  return text + "   revision " + before + " -> " + after + "\n";
}

std::string changeSign(const Json& change) {
  if (textAt(change, "/before").empty()) return "+ ";
  if (textAt(change, "/after").empty()) return "- ";
  return "~ ";
}

std::string changeText(const Json& change) {
  std::string before = textAt(change, "/before");
  std::string after = textAt(change, "/after");
  if (before.empty()) return after;
  return before + " -> " + (after.empty() ? "not given" : after);
}

std::string viewFieldChanges(const Json& deployment, const ViewOptions& options) {
  Table table;
  for (const auto& change : listAt(deployment, "/changes")) {
    bool restarts = textAt(change, "/restarts_ranks") == "true";
    table.add({changeSign(change) + textAt(change, "/path"), changeText(change),
               restarts ? "restarts ranks" : ""});
  }
  std::string text = table.toText(options.paint, 2);
  uint64_t unchanged = numberAt(deployment, "/unchanged");
  if (!table.isEmpty() && unchanged > 0) {
    text += "  = " + std::to_string(unchanged) + (unchanged == 1 ? " field" : " fields") +
            " unchanged\n";
  }
  return text;
}

std::string viewPlacement(const Json& deployment, const ViewOptions& options) {
  Table table({"REPLICA", "NODE", "GPUS", "PER GPU (estimate)", "LINK", "WEIGHTS"});
  for (const auto& replica : listAt(deployment, "/placement")) {
    bool isFirst = true;
    for (const auto& node : listAt(replica, "/nodes")) {
      std::string gpus = orDash(rangesText(listAt(node, "/devices")));
      if (!isFirst) {
        table.add({"", orDash(textAt(node, "/node")), gpus});
        continue;
      }
      isFirst = false;
      uint64_t weights = numberAt(replica, "/weights_bytes");
      table.add(
          {textAt(replica, "/replica"), orDash(textAt(node, "/node")), gpus,
           shareOf(numberAt(replica, "/per_gpu_bytes"), numberAt(replica, "/per_gpu_total_bytes")),
           orDash(textAt(replica, "/link")), weights == 0 ? "-" : toShortText(Bytes{weights})});
    }
  }
  return table.isEmpty() ? "" : besideLabel("placement", table.toText(options.paint));
}

std::string cutOf(const Json& deployment) {
  std::string tp = textAt(deployment, "/plan/tp");
  std::string pp = textAt(deployment, "/plan/pp");
  if (tp.empty() || pp.empty()) return "";
  std::string text = "tensor parallel " + tp + " x pipeline parallel " + pp;
  uint64_t ep = numberAt(deployment, "/plan/ep");
  if (ep > 1) text += ", experts in " + std::to_string(ep) + " parts";
  return text;
}

bool isPlainWord(const std::string& word) {
  auto isPlain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:,=@%+$").find(c) != std::string_view::npos;
  };
  return !word.empty() && std::ranges::all_of(word, isPlain);
}

// As a shell takes it. Variables stay: ports that are chosen when the rank starts.
std::string shellWord(const std::string& word) {
  if (isPlainWord(word)) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// Of the environment what the engine itself looks at: not what every rank gets.
bool isOfEngine(std::string_view name) {
  return !name.starts_with("MUSTER_") && name != "PATH" && name != "LANG";
}

std::string commandLine(const Json& command) {
  std::string line;
  if (auto env = command.find("env"); env != command.end() && env->is_object()) {
    for (const auto& [name, value] : env->items()) {
      if (isOfEngine(name)) line += name + "=" + shellWord(textAt(value, "")) + " ";
    }
  }
  for (const auto& word : listAt(command, "/argv")) line += shellWord(textAt(word, "")) + " ";
  if (!line.empty()) line.pop_back();
  return line;
}

std::string viewCommands(const Json& deployment) {
  std::string lines;
  for (const auto& command : listAt(deployment, "/commands")) {
    lines += "replica " + textAt(command, "/replica") + " rank " + textAt(command, "/rank") +
             " on " + textAt(command, "/node") + "\n  " + commandLine(command) + "\n";
  }
  return besideLabel("commands", lines);
}

std::string viewDeploymentPlan(const Json& deployment, const ViewOptions& options) {
  std::string text = heading(deployment, options);
  text += viewFieldChanges(deployment, options);
  text += viewPlacement(deployment, options);
  text += labelled("cut", cutOf(deployment));
  text += viewCommands(deployment);
  for (const auto& reason : listAt(deployment, "/reasons")) {
    text += labelled("reason", textAt(reason, ""));
  }
  if (deployment.contains("waiting") && deployment.at("waiting").is_object()) {
    text += besideLabel("waits", viewWhy(deployment.at("waiting"), options));
  }
  return text + labelled("disruption", textAt(deployment, "/disruption"));
}

}  // namespace

std::string viewPlan(const Json& plan, const ViewOptions& options) {
  std::string text;
  for (const auto& deployment : listAt(plan, "/deployments")) {
    text += viewDeploymentPlan(deployment, options);
  }
  auto count = [&](const char* of) {
    return std::to_string(numberAt(plan, std::string("/summary/") + of)) + " to " + of;
  };
  text += count("add") + ", " + count("change") + ", " + count("remove");
  std::string id = textAt(plan, "/id");
  if (!id.empty()) {
    text += "   plan " + id + ", valid while cluster revision is " +
            orDash(textAt(plan, "/cluster_revision"));
  }
  return text + "\n";
}

}  // namespace muster::cli
