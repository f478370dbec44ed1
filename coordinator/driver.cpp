#include "coordinator/driver.h"

#include "base/planted_bug.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <utility>

namespace muster::coordinator {

namespace {

constexpr size_t PAUSED_REQUESTS_MAX = 10'000;

Refusal handingOver() {
  return {RefusalCode::NOT_LEADER, "this coordinator is handing over; ask again"};
}

kj::Exception outcomeUnknown(kj::StringPtr why) {
  return KJ_EXCEPTION(DISCONNECTED,
                      kj::str("E0709 outcome unknown: this coordinator no longer leads: ", why));
}

}  // namespace

void BatchChanges::add(Applied&& applied) {
  for (RecordWrite& write : applied.writes) records_[write.key] = std::move(write.value);
  events_.insert(events_.end(), std::make_move_iterator(applied.events.begin()),
                 std::make_move_iterator(applied.events.end()));
}

StoreBatch BatchChanges::take(const LogPosition& position) {
  StoreBatch batch{position, {}, std::move(events_), std::move(audit_)};
  for (auto& [key, value] : records_) batch.records.push_back({key, std::move(value)});
  *this = {};
  return batch;
}

std::optional<AuditEntry> auditEntry(LogIndex index, const Command& command,
                                     const Applied& applied) {
  if (command.request.guid.isNull()) return std::nullopt;
  std::string outcome = applied.rejected ? toText(applied.rejected->code) : "accepted";
  return AuditEntry{command.request, index, command.principal, outcome};
}

Driver::Driver(Parts parts)
    : parts_(parts),
      committed_(parts.state.applied),
      faulted_(kj::newPromiseAndFulfiller<void>()),
      appends_([](kj::Exception&&) {}) {  // who waits for a command hears of it through end()
  parts_.leadership.onCommitted(
      [this](const Batch& batch, const LogPosition& position) { commit(batch, position); });
}

Driver::~Driver() noexcept(false) {
  parts_.leadership.onCommitted([](const Batch&, const LogPosition&) {});
}

kj::Promise<Result<Outcome>> Driver::submit(Request request) {
  KJ_IF_MAYBE (why, ended_) return kj::cp(*why);
  if (paused_) return submitWhenResumed(kj::mv(request));
  auto decision = decide(state(), request, parts_.clusterClock.now(), parts_.clock.wallNow());
  if (!decision) {
    Result<Outcome> refused = decision.refusal();
    return mayLeave(ReadMode::LINEARIZABLE).then([refused = kj::mv(refused)]() mutable {
      return kj::mv(refused);
    });
  }
  if (decision->earlier) {
    Result<Outcome> earlier = *decision->earlier;
    return mayLeave(ReadMode::LINEARIZABLE).then([earlier = kj::mv(earlier)]() mutable {
      return kj::mv(earlier);
    });
  }
  auto index = take(*decision->command);
  if (!index) return outcomeUnknown("the log takes nothing more from it");
  // The outcome is taken from the state as it is now: by the time of the commit it may have been
  // forgotten.
  const Outcome* outcome = state().findOutcome(request.id);
  KJ_ASSERT(outcome != nullptr, "apply kept no outcome of a request", index->value);
  Result<Outcome> answer = *outcome;
  if (MUSTER_PLANTED_BUG(EARLY_ANSWER)) return answer;
  return committed(*index).then([answer = kj::mv(answer)]() mutable { return kj::mv(answer); });
}

// A caller who waits here comes later by one round trip to the next leader, and to this one, if it
// goes on, by none.
kj::Promise<Result<Outcome>> Driver::submitWhenResumed(Request request) {
  if (pausedRequests_.size() >= PAUSED_REQUESTS_MAX) return Result<Outcome>(handingOver());
  auto resumed = kj::newPromiseAndFulfiller<bool>();
  pausedRequests_.push_back(kj::mv(resumed.fulfiller));
  // Only whoever leads still is there to be asked.
  return resumed.promise.then(
      [this, request = kj::mv(request)](bool leads) mutable -> kj::Promise<Result<Outcome>> {
        if (!leads) return Result<Outcome>(handingOver());
        return submit(kj::mv(request));
      });
}

void Driver::resume() {
  paused_ = false;
  bool leads = ended_ == nullptr;
  for (auto& waiting : std::exchange(pausedRequests_, {})) waiting->fulfill(kj::cp(leads));
}

Result<LogIndex> Driver::propose(CommandBody body, const std::string& principal) {
  if (ended_ != nullptr) return Refusal{RefusalCode::NOT_LEADER, "this leadership is over"};
  if (paused_) return handingOver();
  Request request{principal, RequestId{}, std::move(body)};
  auto decision = decide(state(), request, parts_.clusterClock.now(), parts_.clock.wallNow());
  if (!decision) return decision.refusal();
  KJ_ASSERT(decision->command.has_value(), "a proposal of the leader has no earlier outcome");
  auto index = take(*decision->command);
  if (!index) return Refusal{RefusalCode::NOT_LEADER, "this leadership is over"};
  return *index;
}

kj::Promise<void> Driver::mayLeave(ReadMode mode) {
  KJ_IF_MAYBE (why, ended_) return kj::cp(*why);
  auto restsOn = committed(state().applied);
  if (mode == ReadMode::COMMITTED || MUSTER_PLANTED_BUG(NO_READ_BARRIER)) return restsOn;
  auto both = kj::heapArrayBuilder<kj::Promise<void>>(2);
  both.add(kj::mv(restsOn));
  both.add(parts_.leadership.barrier());
  return kj::joinPromises(both.finish());
}

kj::Promise<void> Driver::committed(LogIndex index) {
  KJ_IF_MAYBE (why, ended_) return kj::cp(*why);
  if (index <= committed_) return kj::READY_NOW;
  auto waiter = kj::newPromiseAndFulfiller<void>();
  waiters_.emplace(index, Waiter{kj::mv(waiter.fulfiller)});
  return kj::mv(waiter.promise);
}

std::optional<LogIndex> Driver::take(const Command& command) {
  ByteString bytes = encodeCommand(command);
  auto appended = parts_.leadership.append(kj::mv(bytes));
  if (appended.index == LogIndex{}) return std::nullopt;
  KJ_ASSERT(appended.index == state().applied.next(), "the log and the state disagree on the index",
            appended.index.value, state().applied.value);
  Applied applied = apply(parts_.state, appended.index, command);
  if (applied.rejected) {
    parts_.facts.rejectedCommands++;
    parts_.logger.error("a command that was accepted was rejected when it was applied",
                        {{"index", appended.index},
                         {"code", applied.rejected->code},
                         {"text", applied.rejected->text}});
  }
  auto audit = auditEntry(appended.index, command, applied);
  inFlight_.push_back({appended.index, std::move(applied), std::move(audit)});
  parts_.facts.appliedIndex = appended.index;
  appends_.add(kj::mv(appended.committed));
  noteHash();
  if (onApplied_) onApplied_(command.body);
  return appended.index;
}

void Driver::noteHash() {
  if (++appliedSinceHash_ < STATE_HASH_EVERY) return;
  appliedSinceHash_ = 0;
  parts_.leadership.noteStateHash(StateHash{state().applied, state().hash()});
}

void Driver::commit(const Batch& batch, const LogPosition& position) {
  if (ended_ != nullptr) return;
  auto failed = kj::runCatchingExceptions([&] { store(batch, position); });
  KJ_IF_MAYBE (exception, failed) {
    // Committed in the log and not in our store: this memory must not answer any more.
    kj::Exception why = kj::cp(*exception);
    end(why);
    faulted_.fulfiller->reject(kj::mv(why));
    return;
  }
  wakeWaiters();
  if (onStored_) onStored_();
}

void Driver::store(const Batch& batch, const LogPosition& position) {
  BatchChanges changes;
  for (LogIndex index = batch.firstIndex; index <= batch.lastIndex(); index = index.next()) {
    KJ_ASSERT(!inFlight_.empty() && inFlight_.front().index == index,
              "the log committed a command that is not ours", index.value);
    InFlight next = std::move(inFlight_.front());
    inFlight_.pop_front();
    changes.add(std::move(next.applied));
    if (next.audit) changes.audit(std::move(*next.audit));
  }
  if (MUSTER_PLANTED_BUG(STORE_OF_MEMORY)) {
    for (const InFlight& other : inFlight_) changes.add(Applied(other.applied));
  }
  StoreBatch write = changes.take(position);
  write.bytes = encodeBatch(batch);
  KJ_ASSERT(chainAfter(write.bytes) == position.chain, "a batch has two encodings",
            batch.number.value);
  parts_.store.write(write);
  committed_ = position.index;
  parts_.facts.committedIndex = committed_;
  parts_.facts.appliedBatches++;
  parts_.facts.logBytes += write.bytes.size();
  if (onEvents_ && !write.events.empty()) onEvents_(write.events);
}

void Driver::wakeWaiters() {
  while (!waiters_.empty() && waiters_.begin()->first <= committed_) {
    waiters_.begin()->second.fulfiller->fulfill();
    waiters_.erase(waiters_.begin());
  }
}

void Driver::end(const kj::Exception& why) {
  if (ended_ != nullptr) return;
  kj::Exception unknown = outcomeUnknown(why.getDescription());
  for (auto& [index, waiter] : waiters_) waiter.fulfiller->reject(kj::cp(unknown));
  waiters_.clear();
  inFlight_.clear();
  ended_ = kj::mv(unknown);
  resume();
}

}  // namespace muster::coordinator
