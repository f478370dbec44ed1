// Writes a snapshot when one is due and it is this coordinator's turn: that of the last in line,
// which is the least likely to lead next. It has a session of its own, so that its chunks stand
// before nobody's commits in a queue, and reads a view of the store, so that applying goes on.
#pragma once

#include "base/co.h"
#include "coordinator/coordinator_facts.h"
#include "coordinator/environment.h"
#include "coordinator/follower.h"
#include "coordinator/snapshot_options.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "failover/snapshot_format.h"
#include "failover/snapshot_writer.h"

#include <kj/async.h>

#include <optional>

namespace muster::coordinator {

class SnapshotTaker {
 public:
  struct Parts {
    CoordinatorEnvironment env;
    CoordinatorId self;
    failover::Paths paths;
    SnapshotOptions options;
    Follower& follower;
    CoordinatorFacts& facts;
    failover::CoordinationSession& session;  // the one that our candidate is of
  };
  explicit SnapshotTaker(Parts parts) : parts_(kj::mv(parts)) {}
  KJ_DISALLOW_COPY(SnapshotTaker);

  // Resolves when the session is over.
  kj::Promise<void> run() { return runCo(); }

 private:
  struct Content {  // of the snapshot under way
    kj::Own<StoreView> view;
    std::optional<Guid> stateHash;  // of the memory at that position, if it is there
  };

  Co<void> runCo();
  Co<void> lookAtCurrent();
  bool isDue() const;
  Co<bool> isOurTurn();
  kj::Promise<bool> tryTake();
  Co<bool> takeOne();
  Co<void> write(failover::SnapshotWriter& writer, Content content);
  Content content() const;

  Parts parts_;
  BatchNumber newest_;          // the newest snapshot, or the newest try
  Bytes newestBytes_;           // its size
  uint64_t bytesAtNewest_ = 0;  // facts.logBytes then
};

}  // namespace muster::coordinator
