#include "failover/log_leadership.h"

#include "base/planted_bug.h"
#include "failover/session_wait.h"
#include "protocol/codec.h"

#include <algorithm>
#include <utility>

namespace muster::failover {
namespace {

constexpr Duration CHECK_INTERVAL = 200_ms;  // of an idle leader: workers' leases rest on it
constexpr auto PAUSE_AFTER_UNKNOWN =
    20 * kj::MILLISECONDS;  // while connected: the service itself answered oddly
constexpr int CONTRADICTIONS_MAX = 3;

kj::Duration kjDuration(Duration duration) { return duration.nanos * kj::NANOSECONDS; }

kj::Exception outcomeUnknown() {
  return KJ_EXCEPTION(DISCONNECTED, "the leadership ended before the outcome was known");
}

}  // namespace

LogLeadership::LogLeadership(CoordinationSession& session, kj::Timer& timer, const Clock& clock,
                             Random& random, const LeadershipStart& start, kj::Own<ViewFeed> feed,
                             std::function<BatchTimes()> times, AppendOptions options)
    : session_(session),
      timer_(timer),
      clock_(clock),
      random_(random),
      paths_(start.cluster),
      cluster_(start.cluster),
      view_(start.view),
      ownCandidate_(start.ownCandidate),
      feed_(kj::mv(feed)),
      times_(std::move(times)),
      options_(options),
      cutEnd_(start.end),
      lastSent_(clock.steadyNow()),
      lastCommittedCheckSent_(start.takeoverSent),
      lastCheckCommitted_(lastSent_),
      ended_(nullptr),
      tasks_("leadership") {
  auto paf = kj::newPromiseAndFulfiller<LeadershipEnded>();
  endFulfiller_ = kj::mv(paf.fulfiller);
  ended_ = paf.promise.fork();
  feed_->leadership = [this](const EpochView& view) { onView(view); };
  tasks_.add(watchSession());
  tasks_.add(keepChecking());
}

LogLeadership::~LogLeadership() noexcept(false) {
  feed_->leadership = nullptr;
  end(LeadershipEnd::SESSION_ENDED, "the leadership was given up");
}

// ---- appending

Leadership::Appended LogLeadership::append(ByteString command) {
  KJ_REQUIRE(command.size() <= COMMAND_BYTES_MAX, "a command is too large for the log",
             command.size(), COMMAND_BYTES_MAX);
  if (over_) {
    fencedAttempts_++;
    return Appended{LogIndex{0}, outcomeUnknown()};
  }
  auto paf = kj::newPromiseAndFulfiller<void>();
  queue_.push_back(Queued{std::move(command), kj::mv(paf.fulfiller)});
  schedulePump();
  return Appended{LogIndex{cutEnd_.index.value + queue_.size()}, kj::mv(paf.promise)};
}

void LogLeadership::onCommitted(std::function<void(const Batch&, const LogPosition&)> handler) {
  committedHandler_ = std::move(handler);
}

// At the end of the turn, so that what is appended together goes together; there is no other
// linger.
void LogLeadership::schedulePump() {
  if (pumpScheduled_ || over_) return;
  pumpScheduled_ = true;
  tasks_.add(kj::evalLater([this] {
    pumpScheduled_ = false;
    pump();
  }));
}

bool LogLeadership::mayCut() const {
  bool held = drainLeft_ && *drainLeft_ == 0;
  return !queue_.empty() && !held && flights_.size() < options_.windowMax;
}

// Sends what may be sent. Never while disconnected: the client would keep it and send it at a time
// of its own choosing.
void LogLeadership::pump() {
  if (over_ || resolving_ || session_.state() != SessionState::CONNECTED) return;
  while (mayCut()) cutBatch();
  if (!barriers_.empty() && !checkUnderWay_ && !drainLeft_) sendCheck();
  fulfillIfDrained();
}

void LogLeadership::cutBatch() {
  auto flight = kj::heap<Flight>();
  Batch& batch = flight->batch;
  uint64_t bytes = 0;
  while (!queue_.empty() && !(drainLeft_ && *drainLeft_ == 0)) {
    bytes += queue_.front().command.size();
    if (!batch.commands.empty() && bytes > options_.batchBytesMax.count) break;
    batch.commands.push_back(std::move(queue_.front().command));
    flight->commands.push_back(kj::mv(queue_.front().committed));
    queue_.pop_front();
    if (drainLeft_) --*drainLeft_;
  }
  BatchTimes times = times_();
  batch.history = view_.history;
  batch.epoch = view_.epoch;
  batch.number = cutEnd_.batch.next();
  batch.firstIndex = cutEnd_.index.next();
  batch.leaderTime = times.leaderTime;
  batch.wallTime = times.wallTime;
  batch.id = random_.guid();
  batch.previousChain = cutEnd_.chain;
  batch.stateHash = std::exchange(stateHash_, std::nullopt);
  flight->bytes = encodeBatch(batch);
  flight->after = LogPosition{batch.number, batch.lastIndex(), chainAfter(flight->bytes),
                              batch.epoch, batch.leaderTime};
  cutEnd_ = flight->after;
  flight->barriers =
      std::move(barriers_);  // this append checks the epoch and is sent after they asked
  barriers_.clear();
  flights_.push_back(kj::mv(flight));
  send(*flights_.back());
}

void LogLeadership::send(Flight& flight) {
  flight.sent = lastSent_ = clock_.steadyNow();
  BatchNumber number = flight.batch.number;
  tasks_.add(session_.multi(appendOps(paths_, view_.version, number, flight.bytes))
                 .then([this, number](MultiResult&& result) { onAppendAnswer(number, result); }));
}

void LogLeadership::onAppendAnswer(BatchNumber number, const MultiResult& result) {
  if (over_) return;
  auto found = std::find_if(flights_.begin(), flights_.end(),
                            [&](auto& f) { return f->batch.number == number; });
  KJ_ASSERT(found != flights_.end(), "an append was answered twice", number.value);
  Flight& flight = **found;
  flight.answered = true;
  AppendOutcome outcome = judgeAppend(result);
  switch (outcome) {
    case AppendOutcome::COMMITTED:
      noteCheck(flight.sent);
      noteCommitted(flight, flight.sent);
      commitFront();
      break;
    case AppendOutcome::UNKNOWN:
    case AppendOutcome::EXISTS:
    case AppendOutcome::PREDECESSOR_MISSING:
      resolving_ = true;  // from here on nothing new is sent
      break;
    case AppendOutcome::FENCED:
    case AppendOutcome::SESSION_OVER:
    case AppendOutcome::STORE_FAULT:
      return endFor(outcome, paths_.batch(number));
  }
  if (resolving_ && allAnswered()) tasks_.add(resolve());
  schedulePump();
}

bool LogLeadership::allAnswered() const {
  return std::all_of(flights_.begin(), flights_.end(),
                     [](auto& flight) { return flight->answered; });
}

void LogLeadership::noteCommitted(Flight& flight, SteadyTime sent) {
  flight.committed = true;
  lastCommittedCheckSent_ = std::max(lastCommittedCheckSent_, sent);
}

// Of a write, just now; a read that finds an append committed says nothing of when that was.
void LogLeadership::noteCheck(SteadyTime sent) {
  lastCommittedCheckSent_ = std::max(lastCommittedCheckSent_, sent);
  lastCheckCommitted_ = clock_.steadyNow();
}

// In order: the handler hears a batch before anyone who waits for one of its commands.
void LogLeadership::commitFront() {
  while (!flights_.empty() && flights_.front()->committed) {
    kj::Own<Flight> flight = kj::mv(flights_.front());
    flights_.pop_front();
    if (committedHandler_) committedHandler_(flight->batch, flight->after);
    for (auto& command : flight->commands) command->fulfill();
    for (auto& barrier : flight->barriers) barrier->fulfill();
  }
  fulfillIfDrained();
}

// ---- unknown outcomes

// Sends the unresolved batches again in order, same bytes, same names, until each outcome is known.
Co<void> LogLeadership::resolve() {
  while (!over_ && !flights_.empty()) {
    co_await whenConnected(session_);
    if (over_) co_return;
    Flight& front = *flights_.front();
    SteadyTime sent = lastSent_ = clock_.steadyNow();
    MultiResult result =
        co_await session_.multi(appendOps(paths_, view_.version, front.batch.number, front.bytes));
    if (over_) co_return;
    AppendOutcome outcome = judgeAppend(result);
    if (outcome == AppendOutcome::COMMITTED) {
      noteCheck(sent);
      noteCommitted(*flights_.front(), sent);
      commitFront();
    } else if (outcome == AppendOutcome::EXISTS) {
      co_await settleExisting();
    } else if (outcome == AppendOutcome::UNKNOWN) {
      co_await timer_.afterDelay(PAUSE_AFTER_UNKNOWN);
    } else {  // also a missing predecessor, which no earlier batch of ours explains any more
      endFor(outcome, paths_.batch(flights_.front()->batch.number));
    }
  }
  resolving_ = false;
  schedulePump();
}

// The oldest batch's name is taken. Ours: it was committed by an earlier sending. Another's: stop
// and alarm.
Co<void> LogLeadership::settleExisting() {
  std::string path = paths_.batch(flights_.front()->batch.number);
  for (int contradictions = 0; contradictions < CONTRADICTIONS_MAX;) {
    co_await whenConnected(session_);
    GetResult got = co_await session_.get(path);
    if (over_) co_return;
    if (got.code == ZkCode::OK) {
      Flight& front = *flights_.front();
      if (judgeFound(front.bytes, got.data) == FoundBatch::ANOTHERS) {
        end(LeadershipEnd::STORE_FAULT, path + " holds another batch than the one we sent");
        co_return;
      }
      noteCommitted(front, front.sent);
      commitFront();
      co_return;
    }
    if (got.code == ZkCode::SESSION_ENDED) co_return endFor(AppendOutcome::SESSION_OVER, path);
    if (got.code == ZkCode::NO_NODE) contradictions++;
  }
  end(LeadershipEnd::STORE_FAULT, path + " exists for writes and is absent for reads");
}

// ---- checks

kj::Promise<void> LogLeadership::barrier() {
  if (over_) {
    fencedAttempts_++;
    return outcomeUnknown();
  }
  bool isFresh = clock_.steadyNow() - lastCommittedCheckSent_ < 1_s;
  if (MUSTER_PLANTED_BUG(READ_BY_LEASE) && isFresh) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  barriers_.push_back(kj::mv(paf.fulfiller));
  schedulePump();
  return kj::mv(paf.promise);
}

kj::Promise<MultiResult> LogLeadership::fenced(std::vector<Op> ops) {
  if (over_) {
    fencedAttempts_++;
    return outcomeUnknown();
  }
  ops.insert(ops.begin(), checkOp(paths_.epoch(), view_.version));
  return session_.multi(std::move(ops)).then([this](MultiResult&& result) {
    bool epochIsAnothers = !result.results.empty() && result.results[0].code == ZkCode::BAD_VERSION;
    if (!over_ && epochIsAnothers) endFor(AppendOutcome::FENCED, paths_.snapshot());
    if (!result.results.empty()) result.results.erase(result.results.begin());
    return kj::mv(result);
  });
}

// Covers everyone who waits now; who asks later waits for the next one.
void LogLeadership::sendCheck() {
  checkUnderWay_ = true;
  checked_ = std::exchange(barriers_, {});
  SteadyTime sent = lastSent_ = clock_.steadyNow();
  tasks_.add(
      session_.multi(checkOps(paths_, view_.version)).then([this, sent](MultiResult&& result) {
        onCheckAnswer(result, sent);
      }));
}

void LogLeadership::onCheckAnswer(const MultiResult& result, SteadyTime sent) {
  checkUnderWay_ = false;
  if (over_) return;  // who waited was told by end()
  Waiters waiters = std::exchange(checked_, {});
  AppendOutcome outcome = judgeAppend(result);
  if (outcome == AppendOutcome::COMMITTED) {
    noteCheck(sent);
    for (auto& waiter : waiters) waiter->fulfill();
    return schedulePump();
  }
  std::move(waiters.begin(), waiters.end(), std::back_inserter(barriers_));
  if (outcome != AppendOutcome::UNKNOWN) {
    endFor(outcome, paths_.epoch());
  } else {
    tasks_.add(timer_.afterDelay(PAUSE_AFTER_UNKNOWN).then([this] { schedulePump(); }));
  }
}

Co<void> LogLeadership::keepChecking() {
  while (!over_) {
    Duration left = lastSent_ + CHECK_INTERVAL - clock_.steadyNow();
    bool due = left <= Duration{0};
    bool able = session_.state() == SessionState::CONNECTED && !checkUnderWay_ && !resolving_ &&
                !drainLeft_;
    if (due && able) sendCheck();
    co_await timer_.afterDelay(due ? (able ? kjDuration(CHECK_INTERVAL) : PAUSE_AFTER_UNKNOWN)
                                   : kjDuration(left));
  }
}

// ---- the end

Co<void> LogLeadership::watchSession() {
  while (!over_) {
    if (session_.state() == SessionState::ENDED)
      end(LeadershipEnd::SESSION_ENDED, "the ZooKeeper session ended");
    if (over_) co_return;
    co_await session_.stateChanged();
    schedulePump();
  }
}

// Another's epoch: this leadership is over, whether or not one of our multis has met it yet.
void LogLeadership::onView(const EpochView& view) {
  // The same epoch led by another: ours was lost with what ZooKeeper lost, and given again.
  bool givenAgain = view.epoch == view_.epoch && view.leaderGuid != view_.leaderGuid;
  bool isAnothers = view.history != view_.history || view.epoch > view_.epoch || givenAgain;
  if (over_ || !isAnothers) return;
  if (MUSTER_PLANTED_BUG(EPOCH_READ_AGAIN)) {
    view_.version = view.version;
    return;
  }
  if (!successorGuid_.isNull() && view.leaderGuid == successorGuid_) {
    return end(LeadershipEnd::HANDED_OVER, "handed over to " + view.leader.value);
  }
  end(LeadershipEnd::FENCED,
      "epoch " + std::to_string(view.epoch.value) + " is led by " + view.leader.value);
}

void LogLeadership::endFor(AppendOutcome outcome, const std::string& what) {
  switch (outcome) {
    case AppendOutcome::FENCED:
      return end(LeadershipEnd::FENCED, "the epoch is another's: " + what + " was refused");
    case AppendOutcome::SESSION_OVER:
      return end(LeadershipEnd::SESSION_ENDED, "the ZooKeeper session ended");
    case AppendOutcome::PREDECESSOR_MISSING:
      return end(LeadershipEnd::STORE_FAULT, "the batch before " + what + " is missing");
    default:
      return end(LeadershipEnd::STORE_FAULT, what + " cannot be written");
  }
}

void LogLeadership::end(LeadershipEnd why, const std::string& text) {
  if (over_) return;
  over_ = true;
  Waiters waiters = std::exchange(barriers_, {});
  std::move(checked_.begin(), checked_.end(), std::back_inserter(waiters));
  checked_.clear();
  for (auto& queued : queue_) waiters.push_back(kj::mv(queued.committed));
  for (auto& flight : flights_) {
    std::move(flight->commands.begin(), flight->commands.end(), std::back_inserter(waiters));
    std::move(flight->barriers.begin(), flight->barriers.end(), std::back_inserter(waiters));
  }
  queue_.clear();
  flights_.clear();
  fencedAttempts_ += waiters.size();
  for (auto& waiter : waiters) waiter->reject(outcomeUnknown());
  KJ_IF_MAYBE (drained, drained_) {
    (*drained)->fulfill();
  }
  drained_ = nullptr;
  endFulfiller_->fulfill(LeadershipEnded{why, text});
}

}  // namespace muster::failover
