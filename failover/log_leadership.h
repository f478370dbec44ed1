// Leadership over the log in the coordination service: group commit, four batches in flight,
// resolution of unknown outcomes, read barriers, hand-over. Made by Contender::lead().
#pragma once

#include "base/clock.h"
#include "base/co.h"
#include "base/random.h"
#include "base/tasks.h"
#include "failover/append_rules.h"
#include "failover/election_rules.h"
#include "failover/leadership.h"

#include <kj/refcount.h>

#include <deque>

namespace muster::failover {

// How a contender that keeps looking at `epoch` tells the leadership it made; either may go first.
struct ViewFeed : kj::Refcounted {
  std::function<void(const EpochView&)> leadership;
};

struct LeadershipStart {
  EpochView view;            // ours, with the znode's version
  std::string ownCandidate;  // path
  LogPosition end;           // of the log, read after the takeover on the same session
  SteadyTime takeoverSent;
  ClusterName cluster;
};

class LogLeadership final : public Leadership {
 public:
  LogLeadership(CoordinationSession& session, kj::Timer& timer, const Clock& clock, Random& random,
                const LeadershipStart& start, kj::Own<ViewFeed> feed,
                std::function<BatchTimes()> times, AppendOptions options);
  ~LogLeadership() noexcept(false) override;

  Epoch epoch() const override { return view_.epoch; }
  HistoryId history() const override { return view_.history; }
  const LogPosition& appended() const override { return cutEnd_; }
  Appended append(ByteString command) override;
  void noteStateHash(StateHash hash) override { stateHash_ = hash; }
  void onCommitted(std::function<void(const Batch&, const LogPosition&)> handler) override;
  kj::Promise<void> barrier() override;
  kj::Promise<MultiResult> fenced(std::vector<Op> ops) override;
  SteadyTime lastCommittedCheckSent() const override { return lastCommittedCheckSent_; }
  SteadyTime lastCheckCommitted() const override { return lastCheckCommitted_; }
  kj::Promise<bool> handOver(CoordinatorId successor, std::function<void()> pausing) override;
  kj::Promise<LeadershipEnded> ended() override { return ended_.addBranch(); }
  uint64_t fencedAttempts() const override { return fencedAttempts_; }

 private:
  using Waiters = std::vector<kj::Own<kj::PromiseFulfiller<void>>>;

  struct Queued {
    ByteString command;
    kj::Own<kj::PromiseFulfiller<void>> committed;
  };
  // A batch that was cut and is not known to be committed.
  struct Flight {
    Batch batch;
    ByteString bytes;
    LogPosition after;
    SteadyTime sent;        // for the first time
    bool answered = false;  // the first sending
    bool committed = false;
    Waiters commands;
    Waiters barriers;
  };
  struct Successor {
    CandidateInfo info;
    std::string path;
    int64_t session;
  };

  bool mayCut() const;
  void schedulePump();
  void pump();
  void cutBatch();
  void send(Flight& flight);
  void onAppendAnswer(BatchNumber number, const MultiResult& result);
  void noteCommitted(Flight& flight, SteadyTime sent);
  void noteCheck(SteadyTime sent);
  void commitFront();
  bool allAnswered() const;
  Co<void> resolve();
  Co<void> settleExisting();
  void sendCheck();
  void onCheckAnswer(const MultiResult& result, SteadyTime sent);
  void endFor(AppendOutcome outcome, const std::string& what);
  void end(LeadershipEnd why, const std::string& text);
  Co<void> keepChecking();
  Co<void> watchSession();
  void onView(const EpochView& view);
  void fulfillIfDrained();

  Co<bool> handOverCo(CoordinatorId successor, std::function<void()> pausing);
  Co<bool> handOverTo(Successor successor);
  Co<void> drain();
  Co<kj::Maybe<Successor>> findSuccessor(CoordinatorId wanted);
  std::vector<Op> handOverOps(const Successor& successor, const EpochView& next) const;
  Co<void> endByReadingEpoch(Guid successorGuid);

  CoordinationSession& session_;
  kj::Timer& timer_;
  const Clock& clock_;
  Random& random_;
  Paths paths_;
  ClusterName cluster_;
  EpochView view_;
  std::string ownCandidate_;
  kj::Own<ViewFeed> feed_;
  std::function<BatchTimes()> times_;
  AppendOptions options_;
  std::function<void(const Batch&, const LogPosition&)> committedHandler_;

  LogPosition cutEnd_;  // after the last batch that was cut
  std::optional<StateHash> stateHash_;
  std::deque<Queued> queue_;
  std::deque<kj::Own<Flight>> flights_;
  bool resolving_ = false;
  bool pumpScheduled_ = false;

  Waiters barriers_;  // not covered by a multi that was sent
  Waiters checked_;   // covered by the check that is under way
  bool checkUnderWay_ = false;
  SteadyTime lastSent_;
  SteadyTime lastCommittedCheckSent_;
  SteadyTime lastCheckCommitted_;

  bool handingOver_ = false;
  // A hand-over that pauses: how many queued commands are still to be sent, the rest waits for its
  // outcome.
  std::optional<size_t> drainLeft_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> drained_;
  Guid successorGuid_;

  bool over_ = false;
  uint64_t fencedAttempts_ = 0;
  kj::Own<kj::PromiseFulfiller<LeadershipEnded>> endFulfiller_;
  kj::ForkedPromise<LeadershipEnded> ended_;
  Tasks tasks_;
};

}  // namespace muster::failover
