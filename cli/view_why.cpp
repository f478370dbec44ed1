#include "cli/views.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace muster::cli {
namespace {

// "gpu01 gpu02", or "gpu05-gpu08" for a run of numbered names.
std::string nodeList(const std::vector<std::string>& names) {
  auto numberOf = [](const std::string& name) -> std::optional<std::pair<std::string, long>> {
    size_t digits = name.find_last_not_of("0123456789") + 1;
    if (digits == 0 || digits >= name.size() || name.size() - digits > 9) return std::nullopt;
    return std::pair{name.substr(0, digits), std::stol(name.substr(digits))};
  };
  std::string text;
  for (size_t i = 0; i < names.size();) {
    size_t end = i;
    auto first = numberOf(names[i]);
    while (first && end + 1 < names.size()) {
      auto next = numberOf(names[end + 1]);
      long wanted = first->second + static_cast<long>(end + 1 - i);
      if (!next || next->first != first->first || next->second != wanted) break;
      end++;
    }
    if (end - i < 2) end = i;  // two are named, three are a run
    text += (text.empty() ? "" : " ") + names[i];
    if (end > i) text += "-" + names[end];
    i = end + 1;
  }
  return text;
}

// Neighbours with the same verdict share a line.
std::string viewVerdicts(const Json& verdicts, const ViewOptions& options) {
  Table table({"NODE", "VERDICT"});
  for (size_t i = 0; i < verdicts.size();) {
    std::vector<std::string> names;
    std::string verdict = textAt(verdicts[i], "/verdict");
    std::string detail = textAt(verdicts[i], "/detail");
    size_t end = i;
    for (; end < verdicts.size() && textAt(verdicts[end], "/verdict") == verdict &&
           textAt(verdicts[end], "/detail") == detail;
         ++end) {
      names.push_back(textAt(verdicts[end], "/node"));
    }
    std::optional<Paint> paint;
    if (verdict == "fits") paint = Paint::GOOD;
    table.add({nodeList(names), Cell(verdict, paint), detail});
    i = end;
  }
  return table.toText(options.paint, 2);
}

std::string underReplica(const std::string& label, const std::string& text) {
  if (text.empty()) return "";
  return "  " + label + std::string(label.size() < 7 ? 7 - label.size() : 1, ' ') + text + "\n";
}

// What other lines tell, so that a replica's need not repeat it.
struct ToldElsewhere {
  std::string reason;  // by the table of nodes, to one that waits for a place
  std::string next;
};

// "2 Pending 4m: WaitingForCapacity: MESSAGE; next: RETRY" of one replica that waits. Of one that
// failed the table of nodes tells nothing.
std::string waitingLine(const Json& waiting, const ToldElsewhere& told,
                        const ViewOptions& options) {
  std::string reason = textAt(waiting, "/reason");
  std::string phase = textAt(waiting, "/phase");
  bool isTold = !told.reason.empty() && reason == told.reason && phase != "Failed";
  std::string note = isTold ? reason : noteOf(waiting, "");
  std::string text = textAt(waiting, "/replica");
  if (!phase.empty()) text += " " + phase;
  text += " " + ageAt(waiting, "/since", options.now);
  if (!note.empty()) text += ": " + note;
  std::string next = textAt(waiting, "/next");
  return next.empty() || next == told.next ? text : text + "; next: " + next;
}

}  // namespace

std::string viewWhy(const Json& why, const ViewOptions& options) {
  std::string phase = orDash(textAt(why, "/phase"));
  auto paint = paintOf(phase);
  std::string text = paint ? options.paint(*paint, phase) : phase;
  text += " " + ageAt(why, "/since", options.now);
  std::string reason = textAt(why, "/reason");
  std::string code = textAt(why, "/code");
  if (!reason.empty()) text += ": " + reason + (code.empty() ? "" : " (" + code + ")");
  const Json& verdicts = listAt(why, "/verdicts");
  text += "\n";
  if (verdicts.empty()) text += underReplica("why", textAt(why, "/message"));
  text += underReplica("wants", textAt(why, "/wants"));
  if (!verdicts.empty()) text += viewVerdicts(verdicts, options);
  ToldElsewhere told{verdicts.empty() ? "" : reason, textAt(why, "/next")};
  for (const auto& waiting : listAt(why, "/waiting")) {
    text += underReplica("replica", waitingLine(waiting, told, options));
  }
  text += underReplica("next", textAt(why, "/next"));
  for (const auto& fix : listAt(why, "/fix")) text += underReplica("fix", textAt(fix, ""));
  return text;
}

}  // namespace muster::cli
