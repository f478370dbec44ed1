#include "cli/output.h"
#include "cli/views.h"

#include <nlohmann/json.hpp>

namespace muster::cli {
namespace {

std::string section(const std::string& title, const std::string& lines,
                    const ViewOptions& options) {
  if (lines.empty()) return "";
  return "\n" + options.paint(Paint::BOLD, title) + "\n" + indented(lines);
}

// Nothing for an empty list: a header with no rows says less than no section.
std::string listSection(const std::string& kind, const Json& items, const ViewOptions& options) {
  return items.empty() ? "" : section(kind, viewList(kind, items, options), options);
}

std::string standing(const Json& object, const std::string& at, const ViewOptions& options) {
  std::string phase = orDash(textAt(object, at + "/phase"));
  auto paint = paintOf(phase);
  std::string text = paint ? options.paint(*paint, phase) : phase;
  text += " for " + ageAt(object, at + "/since", options.now);
  std::string note = noteOf(object, at);
  return note.empty() ? text : text + ": " + note;
}

std::string fixes(const Json& object, const std::string& at) {
  std::string text;
  for (const auto& fix : listAt(object, at)) text += labelled("fix", textAt(fix, ""));
  return text;
}

std::string describeDeployment(const Description& all, const ViewOptions& options) {
  const Json& object = all.object;
  std::string text = labelled(
      "deployment", deploymentName(textAt(object, "/tenant"), textAt(object, "/name"), ""));
  text += labelled("phase", standing(object, "/status", options));
  text += labelled("next", textAt(object, "/status/next")) + fixes(object, "/status/fix");
  text += labelled("revision", textAt(object, "/revision") + " (observed " +
                                   orDash(textAt(object, "/status/observed_revision")) + ")");
  text += labelled("uid", textAt(object, "/uid"));
  text += labelled("created", textAt(object, "/created_at") + " (" +
                                  agoAt(object, "/created_at", options.now) + ")");
  if (object.contains("spec")) text += section("spec", toYaml(object.at("spec")), options);
  text += listSection("replicas", all.replicas, options);
  return text + listSection("ranks", all.ranks, options);
}

std::string describeNode(const Description& all, const ViewOptions& options) {
  const Json& object = all.object;
  std::string text = labelled("node", textAt(object, "/name"));
  text += labelled("phase", standing(object, "/status", options));
  text += labelled("next", textAt(object, "/status/next")) + fixes(object, "/status/fix");
  text += labelled("address", textAt(object, "/address"));
  text += labelled("rack", textAt(object, "/rack"));
  text += labelled("version", textAt(object, "/version"));
  std::string by = textAt(object, "/status/cordon/by");
  if (!by.empty()) {
    text +=
        labelled("cordoned", "by " + by + " " + agoAt(object, "/status/cordon/since", options.now) +
                                 ": \"" + textAt(object, "/status/cordon/reason") + "\"");
  }
  text += section("drain", viewDrain(object, "/status/drain", options), options);
  return text + listSection("gpus", all.gpus, options);
}

std::string describeGpu(const Description& all, const ViewOptions& options) {
  const Json& object = all.object;
  std::string text = labelled("gpu", textAt(object, "/name"));
  text += labelled("type", textAt(object, "/type"));
  text += labelled("phase", textAt(object, "/phase"));
  text += labelled("memory",
                   shareOf(numberAt(object, "/reserved_bytes"), numberAt(object, "/memory_bytes")) +
                       " reserved");
  text += labelled("health", textAt(object, "/message"));
  text += labelled("product", textAt(object, "/product"));
  text += labelled("uuid", textAt(object, "/uuid"));
  text += labelled("bus id", textAt(object, "/bus_id"));
  text += labelled("numa node", textAt(object, "/numa_node"));
  text += labelled("driver", textAt(object, "/driver"));
  return text + listSection("ranks", all.ranks, options);
}

}  // namespace

std::string labelled(const std::string& label, const std::string& text) {
  constexpr size_t LABEL_WIDTH = 12;  // "placement   "
  if (text.empty()) return "";
  std::string left = label;
  left.resize(LABEL_WIDTH, ' ');
  return left + text + "\n";
}

std::string indented(const std::string& lines) {
  std::string text;
  size_t begin = 0;
  while (begin < lines.size()) {
    size_t end = lines.find('\n', begin);
    if (end == std::string::npos) end = lines.size();
    text += "  " + lines.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return text;
}

std::string viewDescription(const Description& description, const ViewOptions& options) {
  std::string kind = textAt(description.object, "/kind");
  std::string text = kind == "deployment" ? describeDeployment(description, options)
                     : kind == "gpu"      ? describeGpu(description, options)
                                          : describeNode(description, options);
  return text + section("events", viewEvents(description.events, options), options);
}

}  // namespace muster::cli
