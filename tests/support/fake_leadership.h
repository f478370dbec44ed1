// A Leadership in memory whose commits and proofs happen when the test says so.
#pragma once

#include "base/clock.h"
#include "failover/leadership.h"
#include "failover/log_reader.h"

#include <deque>
#include <vector>

namespace muster::failover {

// The log that outlives its leaders.
struct FakeLog {
  HistoryId history{1, {11, 12}};
  std::vector<ReadBatch> batches;
  LogPosition end() const { return batches.empty() ? LogPosition{} : batches.back().position; }
};

class FakeLeadership final : public Leadership {
 public:
  FakeLeadership(FakeLog& log, Epoch epoch, const Clock& clock)
      : log_(log),
        epoch_(epoch),
        clock_(clock),
        appended_(log.end()),
        end_(kj::newPromiseAndFulfiller<LeadershipEnded>()) {}

  // --- the test's side ---
  // Commits the next `count` commands as one batch.
  void commit(size_t count = 1);
  void commitAll();
  size_t inFlight() const { return pending_.size(); }
  // The epoch is checked: everybody who waits in barrier() now is answered.
  void prove();
  // Over: what is in flight will never be known.
  void lose(std::string why = "fenced");
  Instant leaderTime{1'000};

  // --- Leadership ---
  Epoch epoch() const override { return epoch_; }
  HistoryId history() const override { return log_.history; }
  const LogPosition& appended() const override { return appended_; }
  Appended append(ByteString command) override;
  void noteStateHash(StateHash hash) override { hash_ = hash; }
  void onCommitted(std::function<void(const Batch&, const LogPosition&)> handler) override {
    handler_ = kj::mv(handler);
  }
  kj::Promise<void> barrier() override;
  kj::Promise<MultiResult> fenced(std::vector<Op>) override { return MultiResult(); }
  SteadyTime lastCommittedCheckSent() const override { return checkSent_; }
  SteadyTime lastCheckCommitted() const override { return checkSent_; }
  kj::Promise<bool> handOver(CoordinatorId, std::function<void()>) override { return false; }
  kj::Promise<LeadershipEnded> ended() override { return kj::mv(end_.promise); }
  uint64_t fencedAttempts() const override { return 0; }

 private:
  struct Pending {
    ByteString command;
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
  };
  FakeLog& log_;
  Epoch epoch_;
  const Clock& clock_;
  LogPosition appended_;
  SteadyTime checkSent_;
  bool over_ = false;
  std::deque<Pending> pending_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> barriers_;
  std::optional<StateHash> hash_;
  std::function<void(const Batch&, const LogPosition&)> handler_;
  kj::PromiseFulfillerPair<LeadershipEnded> end_;
};

}  // namespace muster::failover
