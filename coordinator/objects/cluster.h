// The cluster as a whole, and its coordinators, as JSON objects.
#pragma once

#include "coordinator/objects/json.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

// One coordinator as another sees it.
struct CoordinatorView {
  CoordinatorId id;
  std::string
      stage;  // "standby", "elected", "caught_up", "serving"; empty when it cannot be reached
  LogIndex appliedIndex;
  std::optional<Guid> stateHash;  // at that index; nothing while commands are in flight
  uint64_t fencedAttempts = 0;
  uint64_t wrongGuesses = 0;  // leaders it took for dead and that lived
  std::string address;
  bool reachable = false;
  uint32_t schemaLevelMax = 0;  // it understands all levels up to this one
  std::vector<std::pair<std::string, std::string>> alarms = {};  // name and text
};

struct ClusterFacts {
  ClusterName cluster;
  HistoryId history;
  Epoch epoch;
  CoordinatorId leader;  // empty: unknown
  std::string leaderAddress;
  std::vector<CoordinatorId> coordinators;
  uint32_t schemaLevel = 0;  // of the state: what is written
};

std::string historyText(const HistoryId& history);  // "1-0123456789abcdef0123456789abcdef"

Json clusterObject(const ObjectView& view, const ClusterFacts& facts);

// `now`: by the wall clock of whoever answers, so that its reader sees by how much two clocks
// differ.
Json statusObject(const ClusterFacts& facts, const std::vector<CoordinatorView>& coordinators,
                  WallTime now);

}  // namespace muster::coordinator
