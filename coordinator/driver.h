// The leader's pipeline: decide on the newest state, append to the log, apply at once, and let
// nothing out before the index it rests on is committed.
//
// The state here runs ahead of the log: it holds commands that are in flight. So whoever reads it
// must wait for committed(index of what was read), and for a linearizable answer for barrier() too;
// read() does both.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "base/tasks.h"
#include "coordinator/cluster_clock.h"
#include "coordinator/coordinator_facts.h"
#include "coordinator/core/core.h"
#include "coordinator/state_store.h"
#include "failover/leadership.h"

#include <kj/async.h>

#include <deque>
#include <functional>
#include <map>

namespace muster::coordinator {

// A state hash is put into the log each time this many commands have been applied.
constexpr uint64_t STATE_HASH_EVERY = 64;

enum class ReadMode { LINEARIZABLE, COMMITTED };

// What one committed batch changes, joined from its commands in log order: the last write of a key
// wins.
class BatchChanges {
 public:
  void add(Applied&& applied);
  void audit(AuditEntry entry) { audit_.push_back(std::move(entry)); }
  StoreBatch take(const LogPosition& position);

 private:
  std::map<std::string, std::optional<std::string>> records_;
  std::vector<Event> events_;
  std::vector<AuditEntry> audit_;
};

// Audit row of a command after it was applied; nothing for what the leader decided by itself.
std::optional<AuditEntry> auditEntry(LogIndex index, const Command& command,
                                     const Applied& applied);

class Driver {
 public:
  // Everything is borrowed and must outlive the driver. `state`, `store` and `position of
  // leadership` must be equal: what is applied is what is stored.
  struct Parts {
    State& state;
    failover::Leadership& leadership;
    StateStore& store;
    const ClusterClock& clusterClock;
    const Clock& clock;
    CoordinatorFacts& facts;
    Logger& logger;
  };
  explicit Driver(Parts parts);
  ~Driver() noexcept(false);
  KJ_DISALLOW_COPY(Driver);

  // Decides, appends, applies, and answers when the command is committed. A refusal, or the outcome
  // of an earlier request of the same id, is answered when what it rests on is committed and the
  // leadership was proven after the call. Rejected with DISCONNECTED ("outcome unknown") when the
  // leadership ends before: ask again with the same id.
  kj::Promise<Result<Outcome>> submit(Request request);

  // What the leader decides by itself. Returns the index it will have, or why not; does not wait.
  Result<LogIndex> propose(CommandBody body, const std::string& principal);

  // Reads the newest state, then waits until the answer may leave. `read` must not keep a reference
  // to the state.
  template <class T>
  kj::Promise<T> read(ReadMode mode, std::function<T(const State&)> read) {
    T answer = read(state());
    return mayLeave(mode).then([answer = kj::mv(answer)]() mutable { return kj::mv(answer); });
  }
  // Resolves when what is applied now is committed, and proven to be the newest for LINEARIZABLE.
  kj::Promise<void> mayLeave(ReadMode mode);
  // Resolves when `index` is committed and in the store.
  kj::Promise<void> committed(LogIndex index);

  // Newest, commands in flight included.
  const State& state() const { return parts_.state; }
  LogIndex committedIndex() const { return committed_; }
  // Called with each command after it is applied: something may have to be reconciled.
  void onApplied(std::function<void(const CommandBody&)> handler) { onApplied_ = kj::mv(handler); }
  // Called with the events of each committed batch.
  void onEvents(std::function<void(const std::vector<Event>&)> handler) {
    onEvents_ = kj::mv(handler);
  }

  // Called after each batch that was stored: committedIndex() has grown.
  void onStored(std::function<void()> handler) { onStored_ = kj::mv(handler); }

  // While paused nothing new is decided: requests wait until resume(), and are answered "not
  // leader" then when the leadership has ended meanwhile. For a moment only; the leader's own
  // proposals are refused at once.
  void pause() { paused_ = true; }
  void resume();

  // Ends everything that waits. Called when the leadership is over; nothing is accepted afterwards.
  void end(const kj::Exception& why);
  // Rejected when this coordinator must stop (the store failed, the log took what we did not send).
  // Asked once.
  kj::Promise<void> fault() { return kj::mv(faulted_.promise); }

 private:
  struct InFlight {
    LogIndex index;
    Applied applied;
    std::optional<AuditEntry> audit;
  };
  struct Waiter {
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
  };

  kj::Promise<Result<Outcome>> submitWhenResumed(Request request);
  // Nothing when the leadership is over, though we have not been told yet.
  std::optional<LogIndex> take(const Command& command);
  void commit(const Batch& batch, const LogPosition& position);
  void store(const Batch& batch, const LogPosition& position);
  void noteHash();
  void wakeWaiters();

  Parts parts_;
  LogIndex committed_;
  uint64_t appliedSinceHash_ = 0;
  std::deque<InFlight> inFlight_;
  std::multimap<LogIndex, Waiter> waiters_;
  std::function<void(const CommandBody&)> onApplied_;
  std::function<void(const std::vector<Event>&)> onEvents_;
  std::function<void()> onStored_;
  bool paused_ = false;
  std::vector<kj::Own<kj::PromiseFulfiller<bool>>> pausedRequests_;
  kj::Maybe<kj::Exception> ended_;
  kj::PromiseFulfillerPair<void> faulted_;
  Tasks appends_;
};

}  // namespace muster::coordinator
