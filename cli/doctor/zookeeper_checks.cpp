#include "cli/doctor/zookeeper_checks.h"

#include <array>
#include <cmath>
#include <sstream>
#include <tuple>

namespace muster::cli {
namespace {

using Version = std::tuple<int, int, int>;

constexpr Version OLDEST_TESTED{3, 8, 0};
constexpr const char* OLDEST_TESTED_TEXT = "3.8.0";
// A leading server that freezes is left after syncLimit ticks; below a second a pause of the
// machine looks the same.
constexpr double SYNC_MS_LEAST = 1'000;
constexpr double SYNC_MS_MOST = 5'000;
// How long a server may take to read what it lacks before it gives up and starts again.
constexpr double INIT_MS_LEAST = 5'000;
// Of one address: a coordinator's sessions, those of its snapshots, restores and the doctor.
constexpr double CONNECTIONS_LEAST = 10;
// An append waits for one answer; a quiet ensemble gives it within a few milliseconds.
constexpr double LATENCY_MS_MOST = 50;
// A leader keeps four appends in flight.
constexpr double OUTSTANDING_MOST = 100;
constexpr double DESCRIPTORS_SHARE_MOST = 0.8;

using MaybeCheck = std::optional<Check>;

std::string subjectOf(const ZookeeperServer& server) { return "zookeeper " + server.address; }

Check warningOf(const ZookeeperServer& server, std::string text, std::string fix) {
  return {Verdict::WARNING, subjectOf(server), std::move(text), std::move(fix)};
}

std::string msText(double ms) { return std::to_string(std::llround(ms)) + " ms"; }

MaybeCheck checkVersion(const ZookeeperServer& server, const ZookeeperWanted&) {
  int major = 0, minor = 0, patch = 0;
  char dot = 0;
  std::istringstream words(server.version);
  if (!(words >> major >> dot >> minor)) return std::nullopt;
  words >> dot >> patch;
  if (Version{major, minor, patch} >= OLDEST_TESTED) return std::nullopt;
  return Check{Verdict::FAILED, subjectOf(server),
               "runs version " + server.version + "; the oldest that Muster is tested with is " +
                   OLDEST_TESTED_TEXT,
               "upgrade the servers one after the other, the leading one last"};
}

MaybeCheck checkMode(const ZookeeperServer& server, const ZookeeperWanted&) {
  if (server.mode != "read-only") return std::nullopt;
  return Check{Verdict::FAILED, subjectOf(server),
               "is read-only: it has lost the others and takes no change",
               "bring a majority of the servers back; set readonlymode.enabled=false"};
}

// Without these words neither its settings nor its place among the others can be judged.
MaybeCheck checkWords(const ZookeeperServer& server, const ZookeeperWanted&) {
  if (server.untold.empty()) return std::nullopt;
  std::string words;
  for (const auto& word : server.untold) words += (words.empty() ? "`" : ", `") + word + "`";
  return warningOf(server,
                   "may not answer " + words +
                       ", so that is not checked: the words are not in "
                       "its 4lw.commands.whitelist",
                   zookeeperFix("4lw.commands.whitelist=srvr,conf,mntr"));
}

// A session shorter than the least is raised to it: a coordinator that is cut off leads for longer.
MaybeCheck checkSessionMin(const ZookeeperServer& server, const ZookeeperWanted& wanted) {
  auto least = server.setting("minSessionTimeout");
  auto asked = static_cast<double>(wanted.session.millis());
  if (!least || *least <= asked) return std::nullopt;
  return warningOf(server,
                   "raises sessions of " + msText(asked) + " to " + msText(*least) +
                       " (minSessionTimeout), so a leader that freezes or is cut off may be "
                       "replaced only then",
                   zookeeperFix("tickTime=" + std::to_string(std::llround(asked / 2)) +
                                    " and no minSessionTimeout",
                                "muster_zookeeper_tick_ms"));
}

MaybeCheck checkSessionMax(const ZookeeperServer& server, const ZookeeperWanted& wanted) {
  auto most = server.setting("maxSessionTimeout");
  auto asked = static_cast<double>(wanted.session.millis());
  if (!most || *most >= asked) return std::nullopt;
  return warningOf(server,
                   "cuts sessions of " + msText(asked) + " down to " + msText(*most) +
                       " (maxSessionTimeout), so leaders that live lose theirs",
                   zookeeperFix("maxSessionTimeout=" + std::to_string(std::llround(asked)),
                                "muster_zookeeper_tick_ms"));
}

MaybeCheck checkSyncLimit(const ZookeeperServer& server, const ZookeeperWanted&) {
  auto tick = server.setting("tickTime");
  auto ticks = server.setting("syncLimit");
  if (!tick || !ticks || server.members() == 0) return std::nullopt;
  double ms = *tick * *ticks;
  if (ms >= SYNC_MS_LEAST && ms <= SYNC_MS_MOST) return std::nullopt;
  std::string effect = ms > SYNC_MS_MOST ? "a leading server that freezes stops changes for so long"
                                         : "a short pause of a machine throws its server out";
  return warningOf(server,
                   "waits " + msText(ms) + " for a server that lags (syncLimit x tickTime): " +
                       effect + "; wanted are 1 to 5 s",
                   zookeeperFix("tickTime=500 and syncLimit=4", "muster_zookeeper_sync_limit"));
}

MaybeCheck checkInitLimit(const ZookeeperServer& server, const ZookeeperWanted&) {
  auto tick = server.setting("tickTime");
  auto ticks = server.setting("initLimit");
  if (!tick || !ticks || server.members() == 0 || *tick * *ticks >= INIT_MS_LEAST) {
    return std::nullopt;
  }
  return warningOf(server,
                   "gives a server that joins " + msText(*tick * *ticks) +
                       " to read what it lacks (initLimit x tickTime), which a large log does not "
                       "fit in; wanted are 5 s or more",
                   zookeeperFix("initLimit=20", "muster_zookeeper_init_limit"));
}

MaybeCheck checkConnections(const ZookeeperServer& server, const ZookeeperWanted&) {
  auto most = server.setting("maxClientCnxns");
  if (!most || *most == 0 || *most >= CONNECTIONS_LEAST) return std::nullopt;
  return warningOf(server,
                   "takes " + std::to_string(std::llround(*most)) +
                       " connections of one address (maxClientCnxns), and refuses coordinators "
                       "beyond that",
                   zookeeperFix("maxClientCnxns=0"));
}

MaybeCheck checkLoad(const ZookeeperServer& server, const ZookeeperWanted&) {
  double latency = server.metric("zk_avg_latency").value_or(0);
  double outstanding = server.metric("zk_outstanding_requests").value_or(0);
  if (latency <= LATENCY_MS_MOST && outstanding <= OUTSTANDING_MOST) return std::nullopt;
  return warningOf(server,
                   "is slow: " + msText(latency) + " per request on average, " +
                       std::to_string(std::llround(outstanding)) + " waiting",
                   "give its dataDir a disk of its own; look at: iostat -x 1");
}

MaybeCheck checkDescriptors(const ZookeeperServer& server, const ZookeeperWanted&) {
  auto open = server.metric("zk_open_file_descriptor_count");
  auto most = server.metric("zk_max_file_descriptor_count");
  if (!open || !most || *open <= *most * DESCRIPTORS_SHARE_MOST) return std::nullopt;
  return warningOf(server,
                   "has " + std::to_string(std::llround(*open)) + " of " +
                       std::to_string(std::llround(*most)) + " file descriptors open",
                   "LimitNOFILE=65536 in the unit of ZooKeeper");
}

// "following - broadcast" and "leading - broadcast" are those that take part.
MaybeCheck checkPeerState(const ZookeeperServer& server, const ZookeeperWanted&) {
  auto state = server.metrics.find("zk_peer_state");
  if (state == server.metrics.end() || state->second.ends_with("broadcast")) return std::nullopt;
  return warningOf(server, "is not in step with the others yet: " + state->second,
                   "wait until it has read what it lacks; if it stays, look at its log");
}

constexpr std::array RULES = {checkVersion,    checkMode,        checkWords,     checkSessionMin,
                              checkSessionMax, checkSyncLimit,   checkInitLimit, checkConnections,
                              checkLoad,       checkDescriptors, checkPeerState};

// Whether it serves at all; nothing more can be said of one that does not.
Check checkServing(const ZookeeperServer& server, const Remedies& remedies) {
  if (!server.answers) {
    return {Verdict::FAILED, subjectOf(server), "does not serve",
            remedies.away("systemctl status muster-zookeeper, on its machine (behind a tunnel: "
                          "/etc/muster/zookeeper-tunnel.conf names it for this port)")};
  }
  if (!server.mayServe()) {
    return {Verdict::FAILED, subjectOf(server), "runs, but has no quorum and serves nobody",
            remedies.away(
                "start a majority of the servers; journalctl -u muster-zookeeper, on its machine")};
  }
  std::string mode = server.mode.empty() ? "answers" : server.mode;
  return {Verdict::OK, subjectOf(server),
          mode + (server.version.empty() ? "" : ", version " + server.version), ""};
}

}  // namespace

std::string zookeeperFix(const std::string& line, const std::string& variable) {
  std::string playbooks = variable.empty() ? "" : variable + " and ";
  return line +
         " in zoo.cfg, then restart the servers one after the other (by Ansible: " + playbooks +
         "ansible-playbook playbooks/site.yml)";
}

Checks checkZookeeperServer(const ZookeeperServer& server, const ZookeeperWanted& wanted) {
  Checks checks = {checkServing(server, wanted.remedies)};
  if (checks.front().verdict != Verdict::OK) return checks;
  for (auto* rule : RULES) {
    if (auto found = rule(server, wanted)) checks.push_back(std::move(*found));
  }
  return checks;
}

}  // namespace muster::cli
