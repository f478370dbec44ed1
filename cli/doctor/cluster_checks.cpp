#include "cli/doctor/cluster_checks.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace muster::cli {
namespace {

Check checkLeader(const Json& status, const Remedies& remedies) {
  std::string leader = textAt(status, "/leader/id");
  if (leader.empty()) {
    return {Verdict::FAILED, "leader", "no coordinator leads",
            remedies.away(
                "muster doctor, on a coordinator's machine: is a majority of ZooKeeper there?")};
  }
  return {Verdict::OK, "leader",
          leader + " leads in epoch " + std::to_string(numberAt(status, "/epoch")), ""};
}

Checks checkCoordinator(const Json& one, const Remedies& remedies) {
  std::string subject = "coordinator " + textAt(one, "/id");
  if (!one.value("reachable", false)) {
    return {
        {Verdict::FAILED, subject, "is not reached at " + textAt(one, "/address"),
         remedies.away("systemctl status muster-coordinator, on its machine", textAt(one, "/id"))}};
  }
  Checks checks = {
      {Verdict::OK, subject,
       textAt(one, "/stage") + ", index " + std::to_string(numberAt(one, "/applied_index")), ""}};
  for (const Json& alarm : listAt(one, "/alarms")) {
    checks.push_back({Verdict::FAILED, subject,
                      textAt(alarm, "/name") + ": " + textAt(alarm, "/text"),
                      "docs/OPERATIONS.md, Alarms"});
  }
  if (numberAt(one, "/wrong_guesses") > 0) {
    checks.push_back({Verdict::WARNING, subject,
                      "leaders that lived and were taken for dead: " +
                          std::to_string(numberAt(one, "/wrong_guesses")),
                      "look for a host that stalls or loses packets"});
  }
  return checks;
}

// All that stand at one index must have one state.
Check checkStates(const Json& status) {
  std::map<std::string, std::string> hashes;
  for (const Json& one : listAt(status, "/coordinators")) {
    std::string hash = textAt(one, "/state_hash");
    if (hash.empty()) continue;
    auto [at, fresh] = hashes.emplace(std::to_string(numberAt(one, "/applied_index")), hash);
    if (!fresh && at->second != hash) {
      return {Verdict::FAILED, "state",
              textAt(one, "/id") + " differs from others at index " + at->first,
              "docs/OPERATIONS.md, state_diverged"};
    }
  }
  return {Verdict::OK, "state", "coordinators agree at equal index", ""};
}

Check checkNode(const Json& node, const Remedies& remedies) {
  std::string name = textAt(node, "/name");
  std::string subject = "node " + name;
  std::string phase = textAt(node, "/status/phase");
  if (phase == "Unreachable" || phase == "Lost") {
    return {Verdict::FAILED, subject, phase + " " + textAt(node, "/status/message"),
            remedies.away("systemctl status muster-worker, on its machine", name)};
  }
  if (phase == "Ready") return {Verdict::OK, subject, phase, ""};
  return {Verdict::WARNING, subject, phase + ": takes nothing new",
          "muster uncordon " + name + ", once it is well"};
}

// As playbooks/preflight.yml wants it: certificates begin and end, and times in events are
// compared.
constexpr int64_t SKEW_MS_MOST = 2'000;

}  // namespace

Checks checkClockBeside(const Json& status, WallTime asked, WallTime answered) {
  auto theirs = parseRfc3339(textAt(status, "/time"));
  if (!theirs) return {};
  // The answer was made at some time between the two; only what is outside is skew.
  int64_t ahead = asked.unixMs - theirs->unixMs;
  int64_t behind = theirs->unixMs - answered.unixMs;
  int64_t skew = std::max(ahead, behind);
  if (skew <= SKEW_MS_MOST) return {{Verdict::OK, "clock", "agrees with the coordinators'", ""}};
  return {{Verdict::WARNING, "clock",
           "is " + toText(Duration{skew * 1'000'000}) + (ahead > behind ? " ahead of" : " behind") +
               " the coordinator's that answered; wanted is less than " +
               toText(Duration{SKEW_MS_MOST * 1'000'000}),
           "chronyc tracking, or timedatectl, on both machines"}};
}

Checks checkCoordinators(const Json& status, const Remedies& remedies) {
  Checks checks = {checkLeader(status, remedies)};
  for (const Json& one : listAt(status, "/coordinators")) {
    for (Check& check : checkCoordinator(one, remedies)) checks.push_back(std::move(check));
  }
  checks.push_back(checkStates(status));
  return checks;
}

Checks checkNodes(const Json& nodes, const std::string& version, const Remedies& remedies) {
  Checks checks;
  for (const Json& node : listAt(nodes, "/items")) {
    checks.push_back(checkNode(node, remedies));
    std::string theirs = textAt(node, "/version");
    if (theirs.empty() || theirs == version) continue;
    std::string text = "runs ";
    text.append(theirs).append(", this command is ").append(version);
    checks.push_back({Verdict::WARNING, "node " + textAt(node, "/name"), text,
                      remedies.restart("ansible-playbook playbooks/upgrade.yml")});
  }
  return checks;
}

}  // namespace muster::cli
