// Watches the command log at its source, the moment a transaction is committed, and replays it into
// a reference state: what every coordinator must agree with.
#pragma once

#include "coordinator/core/state.h"
#include "protocol/batch.h"
#include "tests/sim/sim_coordination.h"
#include "tests/sim/world.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace muster::sim {

class LogChecker {
 public:
  LogChecker(World& world, const ClusterName& cluster);

  void committed(const Transaction& transaction);
  // The coordination service has other data. What was in the log must come back as it was.
  void replaced(const SimTree& before, const SimTree& after);
  bool isWhole() const { return lost_.empty(); }
  bool hasLost() const { return hasLost_; }  // anything, ever
  // Called for each command that is committed, with the state it meets.
  void onCommand(std::function<void(const coordinator::State&, const Command&)> handler) {
    onCommand_ = std::move(handler);
  }

  // The state after the newest committed command.
  const coordinator::State& state() const { return state_; }
  LogIndex lastIndex() const { return state_.applied; }
  // Of the state after `index`, which is committed.
  const Guid& hashAt(LogIndex index) const { return hashes_.at(index.value); }
  // Where a reader of the log stands after that batch.
  const LogPosition& positionAt(BatchNumber batch) const { return positions_.at(batch.value); }
  BatchNumber lastBatch() const { return positions_.back().batch; }
  // The request that made the command at `index`; null for what a leader decided by itself.
  const RequestId& requestAt(LogIndex index) const { return requests_.at(index.value); }
  // The index at which a request took effect; 0: nowhere.
  LogIndex indexOf(const RequestId& request) const;

 private:
  bool comesBack(const TreeChange& change);
  void take(const ByteString& bytes);
  void checkOrder(const Batch& batch);
  void apply(LogIndex index, const Batch& batch, const ByteString& bytes);
  void checkLeader(const Batch& batch, const Command& first);

  World& world_;
  std::function<void(const coordinator::State&, const Command&)> onCommand_;
  std::string prefix_;
  std::string epochPath_;
  coordinator::State state_;
  std::vector<Guid> hashes_{1};
  std::vector<RequestId> requests_{1};
  std::vector<LogPosition> positions_{1};
  std::map<RequestId, LogIndex> effects_;
  std::map<std::string, ByteString> lost_;  // by path
  bool hasLost_ = false;
};

}  // namespace muster::sim
