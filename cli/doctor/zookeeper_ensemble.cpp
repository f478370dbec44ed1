#include "cli/doctor/zookeeper_ensemble.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace muster::cli {
namespace {

constexpr const char* ENSEMBLE = "zookeeper ensemble";
// The servers are asked one after the other, while the cluster works.
constexpr uint64_t CHANGES_BEHIND_MOST = 10'000;
// Those that all servers must have alike; a session may end up at any of them.
constexpr const char* COMMON[] = {"tickTime", "minSessionTimeout", "maxSessionTimeout", "initLimit",
                                  "syncLimit"};

using Servers = std::vector<ZookeeperServer>;

size_t countMode(const Servers& servers, const std::string& mode) {
  return static_cast<size_t>(
      std::count_if(servers.begin(), servers.end(), [&](const auto& s) { return s.mode == mode; }));
}

size_t membersOf(const Servers& servers) {
  size_t members = 0;
  for (const auto& server : servers) members = std::max(members, server.members());
  return members;
}

// Two that each serve for themselves hold two clusters under one name.
Checks checkOneEnsemble(const Servers& servers, const ZookeeperWanted&) {
  size_t alone = countMode(servers, "standalone");
  if (alone == 0 || servers.size() == 1) return {};
  return {{Verdict::FAILED, ENSEMBLE,
           std::to_string(alone) + " of " + std::to_string(servers.size()) +
               " servers run standalone: they know nothing of the others",
           "the same server.N lines in every zoo.cfg (by Ansible: ansible-playbook "
           "playbooks/site.yml)"}};
}

// Who follows, leads or observes has a quorum. One whose mode is not told may.
Checks checkQuorum(const Servers& servers, const ZookeeperWanted& wanted) {
  size_t leading = countMode(servers, "leader");
  if (leading > 1) {
    return {{Verdict::FAILED, ENSEMBLE,
             std::to_string(leading) + " servers lead: they are not one ensemble",
             "the same server.N lines in every zoo.cfg, and one ensemble in zookeeper.servers"}};
  }
  if (std::any_of(servers.begin(), servers.end(), [](const auto& one) { return one.mayServe(); })) {
    return {};
  }
  return {{Verdict::FAILED, ENSEMBLE, "no server serves, so nothing in the cluster can be changed",
           wanted.remedies.away("start a majority of the servers")}};
}

Checks checkSize(const Servers& servers, const ZookeeperWanted&) {
  size_t members = membersOf(servers);
  if (members == 0) members = servers.size();
  if (members % 2 == 1) return {};
  size_t survives = (members - 1) / 2;
  return {{Verdict::WARNING, ENSEMBLE,
           "has " + std::to_string(members) + " servers and survives the loss of " +
               std::to_string(survives) + ", no more than " + std::to_string(members - 1) +
               " would",
           "take one out, or add one: 1, 3 or 5 servers"}};
}

// A coordinator that knows fewer servers than there are stops with these.
Checks checkNamed(const Servers& servers, const ZookeeperWanted& wanted) {
  size_t members = membersOf(servers);
  if (members == 0 || wanted.servers == 0 || members == wanted.servers) return {};
  return {{Verdict::WARNING, ENSEMBLE,
           "has " + std::to_string(members) + " servers, coordinator.toml names " +
               std::to_string(wanted.servers),
           "name all of them in zookeeper.servers, and only them"}};
}

// "3.8.0 (127.0.0.1:2181), 3.9.2 (127.0.0.1:2182)": one address for each value.
std::string valuesText(const std::map<std::string, std::string>& addressOf) {
  std::string text;
  for (const auto& [value, address] : addressOf) {
    text.append(text.empty() ? "" : ", ").append(value).append(" (").append(address).append(")");
  }
  return text;
}

Checks checkVersionsAlike(const Servers& servers, const ZookeeperWanted&) {
  std::map<std::string, std::string> versions;
  for (const auto& server : servers) {
    if (!server.version.empty()) versions.emplace(server.version, server.address);
  }
  if (versions.size() < 2) return {};
  return {{Verdict::WARNING, ENSEMBLE, "runs several versions: " + valuesText(versions),
           "finish the upgrade, the leading server last"}};
}

Checks checkSettingsAlike(const Servers& servers, const ZookeeperWanted&) {
  Checks checks;
  for (const char* name : COMMON) {
    std::map<std::string, std::string> values;
    for (const auto& server : servers) {
      auto at = server.settings.find(name);
      if (at != server.settings.end()) values.emplace(at->second, server.address);
    }
    if (values.size() < 2) continue;
    checks.push_back({Verdict::WARNING, ENSEMBLE,
                      std::string(name) + " differs: " + valuesText(values),
                      zookeeperFix(std::string(name) + ", the same everywhere,")});
  }
  return checks;
}

// The leading server tells how many follow it in step.
Checks checkFollowers(const Servers& servers, const ZookeeperWanted& wanted) {
  Checks checks;
  for (const auto& server : servers) {
    auto synced = server.metric("zk_synced_followers");
    size_t members = server.members();
    if (server.mode != "leader" || !synced || members == 0) continue;
    if (*synced >= static_cast<double>(members - 1)) continue;
    checks.push_back(
        {Verdict::WARNING, ENSEMBLE,
         std::to_string(std::llround(*synced)) + " of " + std::to_string(members - 1) +
             " servers follow " + server.address + " in step",
         wanted.remedies.away("systemctl status muster-zookeeper, on the machines of the others")});
  }
  return checks;
}

// A quiet follower takes the number of a new epoch with its first change only.
constexpr uint64_t CHANGES_OF_A_NEW_EPOCH = 100;

bool inOlderEpoch(uint64_t zxid, uint64_t newest) {
  return zxid >> 32 < newest >> 32 && (newest & UINT32_MAX) > CHANGES_OF_A_NEW_EPOCH;
}

bool farBehind(uint64_t zxid, uint64_t newest) {
  return zxid >> 32 == newest >> 32 && newest - zxid > CHANGES_BEHIND_MOST;
}

// Such a server answers reads from the past.
Checks checkInStep(const Servers& servers, const ZookeeperWanted& wanted) {
  uint64_t newest = 0;
  for (const auto& server : servers) newest = std::max(newest, server.lastChange.value_or(0));
  Checks checks;
  for (const auto& server : servers) {
    if (!server.lastChange || server.mode == "standalone") continue;
    bool older = inOlderEpoch(*server.lastChange, newest);
    if (!older && !farBehind(*server.lastChange, newest)) continue;
    std::string behind =
        older ? "is in an older epoch of ZooKeeper than the others"
              : "is " + std::to_string(newest - *server.lastChange) + " changes behind the others";
    checks.push_back(
        {Verdict::WARNING, "zookeeper " + server.address, behind,
         "repeat muster doctor; if it stays, " +
             wanted.remedies.restart("systemctl restart muster-zookeeper, on its machine")});
  }
  return checks;
}

}  // namespace

Checks checkZookeeperEnsemble(const std::vector<ZookeeperServer>& servers,
                              const ZookeeperWanted& wanted) {
  if (servers.empty()) return {};
  Checks checks;
  for (auto* rule : {checkOneEnsemble, checkQuorum, checkSize, checkNamed, checkVersionsAlike,
                     checkSettingsAlike, checkFollowers, checkInStep}) {
    for (Check& found : rule(servers, wanted)) checks.push_back(std::move(found));
  }
  if (!checks.empty()) return checks;
  size_t members = std::max(membersOf(servers), servers.size());
  return {{Verdict::OK, ENSEMBLE,
           std::to_string(members) + (members == 1 ? " server" : " servers, alike and in step"),
           ""}};
}

}  // namespace muster::cli
