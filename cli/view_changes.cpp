#include "cli/views.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>

namespace muster::cli {
namespace {

std::string dry(Carried carried) { return carried == Carried::DRY ? " (dry run)" : ""; }

std::string viewApplied(const Json& change, Carried carried, const ViewOptions& options) {
  std::string text;
  for (const auto& deployment : listAt(change, "/deployments")) {
    std::string action = textAt(deployment, "/action");
    std::string done = action == "add"      ? "created"
                       : action == "none"   ? "unchanged"
                       : action == "remove" ? "removed"
                                            : "changed";
    text += "deployment " + deploymentOf(deployment, options) + " " + done + ", revision " +
            orDash(textAt(deployment, "/revision")) + dry(carried) + "\n";
  }
  return text;
}

std::string replicaOf(const Json& row, const ViewOptions& options) {
  std::string name = deploymentOf(row, options);
  std::string replica = textAt(row, "/replica");
  return replica.empty() ? name : name + "/" + replica;
}

std::string viewDraining(const Json& change, Carried carried, const ViewOptions& options) {
  std::string node = orDash(textAt(change, "/node"));
  std::string text = node + " cordoned" + dry(carried) + "\n";
  std::string rows = viewDrain(change, "", options);
  return text + (rows.empty() ? "  nothing runs on it\n" : indented(rows));
}

std::string viewNodeChange(const Json& change, Carried carried, std::string_view done) {
  std::string node = textAt(change, "/node");
  if (node.empty()) node = textAt(change, "/name");
  return orDash(node) + " " + std::string(done) + dry(carried) + "\n";
}

std::string viewScaled(const Json& change, Carried carried, const ViewOptions& options) {
  std::string text = "deployment " + deploymentOf(change, options) + " scaled";
  std::string replicas = textAt(change, "/replicas");
  if (!replicas.empty()) text += " to " + replicas + (replicas == "1" ? " replica" : " replicas");
  return text + dry(carried) + "\n";
}

std::string progressBar(double progress) {
  constexpr int WIDTH = 18;
  auto filled = static_cast<size_t>(std::lround(std::clamp(progress, 0.0, 1.0) * WIDTH));
  return std::string(filled, '#') + std::string(WIDTH - filled, '-') + "  " +
         std::to_string(std::lround(progress * 100)) + "%";
}

std::string viewFirstError(const Json& error, const ViewOptions& options) {
  std::string place = "rank " + orDash(textAt(error, "/rank"));
  std::string node = textAt(error, "/node");
  if (!node.empty()) place += "  " + node;
  std::string text = "  " + options.paint(Paint::BAD, place) + "  " + textAt(error, "/text") + "\n";
  std::string cause = textAt(error, "/cause");
  if (!cause.empty()) text += "  cause   " + cause + "\n";
  std::string fix = textAt(error, "/fix");
  if (!fix.empty()) text += "  fix     " + fix + "\n";
  return text;
}

// Nothing unless a coordinator understands more than the cluster's schema level.
std::string viewUpgrade(const Json& status) {
  uint64_t level = numberAt(status, "/schema_level");
  std::string ahead;
  std::string behind;
  for (const auto& one : listAt(status, "/coordinators")) {
    bool isAhead = numberAt(one, "/schema_level_max") > level;
    (isAhead ? ahead : behind) += " " + orDash(textAt(one, "/id"));
  }
  if (ahead.empty()) return "";
  if (behind.empty()) {
    return "every coordinator understands a higher schema level; it rises soon, and until then a "
           "downgrade works\n";
  }
  return "a higher schema level is understood by" + ahead + "; it rises once it is by" + behind +
         ", too\n";
}

}  // namespace

std::string viewDrain(const Json& object, const std::string& at, const ViewOptions& options) {
  Table table;
  for (const auto& row : listAt(object, at + "/moving")) {
    table.add({replicaOf(row, options), Cell("moving", Paint::BUSY), textAt(row, "/state")});
  }
  for (const auto& row : listAt(object, at + "/blocked")) {
    std::string fix = textAt(row, "/fix");
    std::string reason = textAt(row, "/reason");
    std::string detail = reason.empty() ? "" : reason + ": ";
    detail += textAt(row, "/message");
    if (!fix.empty()) detail += "   fix: " + fix;
    table.add({replicaOf(row, options), Cell("blocked", Paint::BAD), detail});
  }
  return table.isEmpty() ? "" : table.toText(options.paint);
}

std::string viewChange(const Json& change, Carried carried, const ViewOptions& options) {
  std::string kind = textAt(change, "/kind");
  if (kind == "applied") return viewApplied(change, carried, options);
  if (kind == "draining") return viewDraining(change, carried, options);
  if (kind == "scaled") return viewScaled(change, carried, options);
  if (kind == "cordoned" || kind == "uncordoned") return viewNodeChange(change, carried, kind);
  if (kind == "deleted") {
    return "deployment " + deploymentOf(change, options) + " deleted" + dry(carried) + "\n";
  }
  if (kind == "stepped_down") {
    return orDash(textAt(change, "/from")) + " stepped down; " + orDash(textAt(change, "/to")) +
           " leads\n";
  }
  return orDash(kind) + dry(carried) + "\n";
}

std::string viewLogs(const Json& logs, const ViewOptions& options) {
  if (logs.contains("first_error") && logs.at("first_error").is_object()) {
    std::string target = textAt(logs, "/target");
    return (target.empty() ? "first error:\n" : "first error of " + target + ":\n") +
           viewFirstError(logs.at("first_error"), options);
  }
  std::string text;
  for (const auto& line : listAt(logs, "/lines")) {
    std::string rank = textAt(line, "/rank");
    std::string node = textAt(line, "/node");
    std::string prefix = rank.empty() ? "" : rank + (node.empty() ? "" : " " + node) + " | ";
    text += options.paint(Paint::FAINT, prefix);
    text += textAt(line, "/text");
    text += "\n";
  }
  return text;
}

std::string viewAdminStatus(const Json& status, const ViewOptions& options) {
  std::string text = orDash(textAt(status, "/cluster"));
  text += "  leader " + orDash(textAt(status, "/leader/id"));
  text += "  epoch " + orDash(textAt(status, "/epoch"));
  text += "  history " + orDash(textAt(status, "/history"));
  text += "  schema level " + orDash(textAt(status, "/schema_level")) + "\n";
  Table table({"COORDINATOR", "STAGE", "APPLIED", "FENCED", "ADDRESS", "STATE HASH"});
  for (const auto& one : listAt(status, "/coordinators")) {
    bool reachable = textAt(one, "/reachable") != "false";
    std::string stage = reachable ? orDash(textAt(one, "/stage")) : "unreachable";
    table.add({orDash(textAt(one, "/id")), Cell(stage, paintOf(stage)),
               reachable ? orDash(textAt(one, "/applied_index")) : "-",
               reachable ? orDash(textAt(one, "/fenced_attempts")) : "-",
               orDash(textAt(one, "/address")),
               reachable ? orDash(textAt(one, "/state_hash")) : "-"});
  }
  text += table.toText(options.paint) + viewUpgrade(status);
  for (const auto& one : listAt(status, "/coordinators")) {
    for (const auto& alarm : listAt(one, "/alarms")) {
      text += options.paint(Paint::BAD, "alarm " + textAt(alarm, "/name")) + " of " +
              orDash(textAt(one, "/id")) + ": " + textAt(alarm, "/text") + "\n";
    }
  }
  std::string guesses = textAt(status, "/wrong_guesses");
  if (!guesses.empty() && guesses != "0") text += "wrong guesses of death: " + guesses + "\n";
  return text;
}

std::string viewProgress(const Json& replica, const ViewOptions& options) {
  std::string phase = orDash(textAt(replica, "/phase"));
  std::string line =
      deploymentOf(replica, options) + "/" + textAt(replica, "/replica") + "  " + phase;
  auto progress = fractionAt(replica, "/progress");
  if (progress && phase != "Ready") line += "  " + progressBar(*progress);
  std::string reason = textAt(replica, "/reason");
  std::string message = textAt(replica, "/message");
  if (!reason.empty()) message = message.empty() ? reason : reason + ": " + message;
  if (!message.empty()) line += "  " + message;
  std::string next = textAt(replica, "/next");
  if (!next.empty() && phase != "Ready") line += "  next: " + next;
  return line;
}

}  // namespace muster::cli
