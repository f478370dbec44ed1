// The state as the log has it, batch by batch, in memory and in the store. A standby does nothing
// else with the log; a leader borrows the state while it leads and gives it back by having it
// loaded again.
#pragma once

#include "base/kj_time.h"
#include "base/log.h"
#include "coordinator/coordinator_facts.h"
#include "coordinator/core/state.h"
#include "coordinator/state_store.h"
#include "failover/log_reader.h"

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace muster::coordinator {

class Follower {
 public:
  Follower(StateStore& store, CoordinatorFacts& facts, Logger logger);

  // Makes the memory equal to the store, which is claimed for this history if it is new. Throws
  // FAILED when the store belongs to another cluster or history.
  void open(const ClusterName& cluster, const HistoryId& history);

  // Applies one batch whole: memory and store. Throws FAILED when the state differs from the hash
  // that the batch carries (damage() then says so), UNIMPLEMENTED for a command this version does
  // not know; then this coordinator must stop.
  void take(const failover::ReadBatch& read);

  // Why the state is not the one that the log makes; nothing while all is well. Until rebuild()
  // nothing may be read or taken.
  const std::optional<std::string>& damage() const { return damage_; }
  // Drops memory and store. The log must be read from its start.
  void rebuild();

  // Whether the memory holds a state at all.
  bool isOpen() const { return opened_; }
  const LogPosition& position() const { return position_; }
  const State& state() const { return state_; }
  // For the leader's driver, which runs ahead of the store. open() afterwards drops what it did.
  State& lend();
  // Drops what a leader did that is not in the store. No effect unless lent.
  void takeBack();

  void onEvents(std::function<void(const std::vector<Event>&)> handler) {
    onEvents_ = kj::mv(handler);
  }

 private:
  void applyAll(const Batch& batch, class BatchChanges& changes);
  void compareHash(const Batch& batch);
  void load(const HistoryId& history, const StoreMeta& meta);
  void start(const LogPosition& position);
  [[noreturn]] void damaged(std::string text);

  StateStore& store_;
  CoordinatorFacts& facts_;
  Logger logger_;
  State state_;
  LogPosition position_;
  bool opened_ = false;
  bool lent_ = false;
  // Up to here the state was replayed from the log's start: where it differs from a hash in the
  // log, the leader that wrote the hash was wrong, in that whole epoch.
  LogIndex replayedTo_;
  Epoch distrusted_;
  std::optional<std::string> damage_;
  std::deque<std::pair<LogIndex, Guid>> hashes_;  // of the newest indices, ascending
  std::function<void(const std::vector<Event>&)> onEvents_;
};

// How many of the newest state hashes are kept for comparison: more than a leader has in flight.
constexpr size_t HASHES_KEPT = 4096;

}  // namespace muster::coordinator
