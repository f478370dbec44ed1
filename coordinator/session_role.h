// What this coordinator is on one session of the coordination service: standby, candidate, leader.
// One state machine, torn down whole when the session or the leadership ends; nothing but the
// follower's committed state survives it.
#pragma once

#include "base/co.h"
#include "base/tasks.h"
#include "coordinator/alarm_texts.h"
#include "coordinator/death_watch.h"
#include "coordinator/leading.h"
#include "coordinator/log_mender.h"
#include "coordinator/snapshot_taker.h"
#include "failover/election.h"
#include "failover/log_reader.h"
#include "failover/log_trim.h"

#include <kj/async.h>

#include <set>

namespace muster::coordinator {

class SessionRole {
 public:
  struct Parts {
    Leading::Parts leading;
    failover::ContenderIdentity identity;
    std::function<void(const failover::EpochView&)> onView;
    std::function<void()> onFresh;  // this was the newest state just now
    DeathWatch& deathWatch;
    SnapshotOptions snapshots;
  };
  SessionRole(Parts parts, kj::Own<failover::CoordinationSession> session);
  ~SessionRole() noexcept(false);
  KJ_DISALLOW_COPY(SessionRole);

  // Never resolves. Rejected with DISCONNECTED when the session or the leadership is over, which is
  // nothing unusual: open the next session. Any other exception means that this coordinator must
  // stop.
  kj::Promise<void> run();

  kj::Maybe<Leading&> leading();
  // Why run() was rejected, when that is an alarm and no reason to stop.
  const std::optional<Trouble>& trouble() const { return trouble_; }
  // A peer found the record of this batch damaged or missing: looks at it if we lead.
  void suspect(BatchNumber batch);
  // Asks the service to end the session; run() is rejected when it has.
  void close() { session_->close(); }

 private:
  Co<void> runCo();
  Co<void> watchSession();
  Co<failover::EpochView> awaitTree();
  Co<void> catchUp();
  Co<void> restore();
  void dropOlderHistory();
  enum class Proof { BY_WRITE, ONCE_ELECTED };  // that our position is the log's
  Co<void> readToEnd(Proof proof);
  Co<std::optional<Trouble>> missingTree();
  Co<void> rebuildIfDamaged();
  kj::Own<failover::LogReader> newReader();
  void caughtUp();
  void raise(const Trouble& trouble);
  void takeSnapshots();
  void trimLog();
  Co<failover::Contender::Elected> tail();
  Co<void> follow();
  void makeMender();
  Co<bool> readOrJudge();
  Co<void> readBeforeLeading(failover::EpochView elected);
  void requireLaterThanTaken(const failover::EpochView& elected);
  Co<void> takeFrom(CoordinatorId source);
  Co<void> keepLog(int32_t epochVersion);
  [[noreturn]] void stopFor(const failover::LossJudgement& judgement);
  kj::Promise<kj::Maybe<failover::ReadBatch>> nextBatch(failover::LogReader& reader);
  void take(failover::ReadBatch read);
  CoordinatorEnvironment& env() { return parts_.leading.env; }
  CoordinatorFacts& facts() { return parts_.leading.facts; }
  Follower& follower() { return parts_.leading.follower; }

  Parts parts_;
  failover::Paths paths_;
  HistoryId history_;
  std::optional<Trouble> trouble_;
  bool saidUnmade_ = false;
  std::optional<failover::FoundFault> fault_;  // that the newest reader found
  bool lost_ = false;                          // the log misses a suffix that we hold
  std::set<BatchNumber> suspected_;            // records to look at
  kj::Own<failover::CoordinationSession> session_;
  kj::Own<LogMender> mender_;
  kj::Own<failover::EndReads> endReads_;  // behind what may have made us the leader
  kj::Own<failover::Contender> contender_;
  kj::Own<Leading> leading_;
  kj::Own<SnapshotTaker> taker_;
  kj::Own<failover::LogTrimmer> trimmer_;
  Tasks tasks_;
};

}  // namespace muster::coordinator
