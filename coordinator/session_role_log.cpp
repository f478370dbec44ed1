// What a session role does with the log: reads it, compares it with what we hold, and, once
// elected, writes again what it lost or has damaged.
#include "base/kj_time.h"
#include "base/planted_bug.h"
#include "coordinator/session_role.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <utility>

namespace muster::coordinator {
namespace {

constexpr Duration STANDBY_LOOK = 5_s;  // of a standby at the whole of its log, without news
constexpr Duration LOST_LOOK = 500_ms;  // of who waits for lost batches to be written again
constexpr Duration KEEP_LOOK = 1_s;     // of a leader at its log
constexpr size_t KEEP_RECORDS = 8;  // compared each time: all that are kept within three minutes

constexpr uint64_t PROVE_AGAIN_AFTER = 500;  // batches: fewer than are kept before a snapshot

using failover::Contender;
using failover::LogReader;
using failover::LossVerdict;
using failover::ReadBatch;
using failover::SessionState;

}  // namespace

kj::Own<LogReader> SessionRole::newReader() {
  auto reader = kj::heap<LogReader>(*session_, paths_, history_, follower().position());
  reader->onFault([this](const failover::FoundFault& fault) {
    fault_ = fault;
    trouble_ = troubleOf(fault, *env().store.meta());
    bool isRecord = trouble_ && trouble_->kind == AlarmKind::LOG_CORRUPT;
    if (isRecord) parts_.deathWatch.tellDamaged(fault.batch);
  });
  return reader;
}

// What was wrong with the log or with us is over: we have all of it.
void SessionRole::caughtUp() {
  parts_.onFresh();
  facts().rebuilding = false;
  trouble_.reset();
  for (AlarmKind kind : ALARM_KINDS) {
    if (kind == AlarmKind::LEADER_DIVERGED) continue;  // a matching hash ends it
    if (facts().alarms.clear(kind)) env().logger.info("alarm over", {{"alarm", toText(kind)}});
  }
}

Co<void> SessionRole::readToEnd(Proof proof) {
  BatchNumber first = follower().position().batch;
  auto reader = newReader();
  if (proof == Proof::ONCE_ELECTED) {
    co_await reader->verifyOnceElected(kj::mv(endReads_));
  } else {
    co_await reader->verifyPosition();
  }
  for (;;) {
    auto read = co_await reader->next();
    KJ_IF_MAYBE (batch, read) {
      take(kj::mv(*batch));
    } else {
      break;
    }
  }
  // What we read so long may have been trimmed under us: an end that is none.
  bool longer = follower().position().batch.value > first.value + PROVE_AGAIN_AFTER;
  if (longer) co_await reader->verifyPosition();
  caughtUp();
}

// True when the log holds all that we have and was read to its end. False when it lost a suffix
// that can be written again: then we may stand, and whoever is elected writes it. Throws otherwise.
Co<bool> SessionRole::readOrJudge() {
  fault_.reset();
  bool isLost = false;
  try {
    co_await catchUp();
  } catch (const kj::Exception&) {
    isLost = fault_ && fault_->fault == failover::LogFault::LOST_SUFFIX;
    if (!isLost) throw;
  }
  failover::LossJudgement judgement = mender_->judge();
  if (isLost) judgement = co_await mender_->compare();
  if (judgement.verdict == LossVerdict::RESTORE) stopFor(judgement);
  if (!isLost) co_return true;
  trouble_.reset();
  if (judgement.verdict == LossVerdict::NOTHING) co_return false;  // it came back: look again
  raise({AlarmKind::LOG_LOST, "ZooKeeper lost what it had acknowledged: " + judgement.text +
                                  ". This coordinator holds " + holdingText(*env().store.meta()) +
                                  "; whoever is elected writes the same bytes again"});
  co_return false;
}

void SessionRole::stopFor(const failover::LossJudgement& judgement) {
  trouble_ = lossTrouble(judgement.text, *env().store.meta());
  kj::throwFatalException(
      KJ_EXCEPTION(FAILED, "the log is not what we hold", judgement.text.c_str()));
  KJ_UNREACHABLE;
}

// Reads to the end; what is missing or damaged on the way is written again, for we are elected.
Co<void> SessionRole::readBeforeLeading(failover::EpochView elected) {
  int32_t epochVersion = elected.version;
  for (;;) {
    fault_.reset();
    try {
      co_await readToEnd(Proof::ONCE_ELECTED);
    } catch (const kj::Exception&) {
      if (!fault_ || !trouble_) throw;
    }
    failover::LossJudgement judgement = mender_->judge();
    if (fault_ && fault_->fault != failover::LogFault::LOST_SUFFIX) {
      bool mended = co_await mender_->mend(follower().position(), epochVersion);
      KJ_REQUIRE(mended, "E0705 a damaged record was not written again", fault_->text.c_str());
      continue;
    }
    if (fault_) judgement = co_await mender_->compare();
    if (judgement.verdict == LossVerdict::NOTHING) {
      if (!fault_) co_return;
      continue;  // it came back meanwhile
    }
    bool isElected = co_await mender_->isStillElected(epochVersion);
    if (!isElected) {
      kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "a later leader was elected"));
    }
    if (judgement.verdict == LossVerdict::RESTORE) stopFor(judgement);
    raise({AlarmKind::LOG_LOST, "ZooKeeper lost what it had acknowledged: " + judgement.text});
    if (judgement.verdict == LossVerdict::BEHIND) {
      co_await takeFrom(judgement.source);
      requireLaterThanTaken(elected);
    } else {
      bool written = co_await mender_->rewrite(epochVersion);
      if (!written) stopFor(judgement);
    }
  }
}

// ZooKeeper may have lost the takeover of an epoch of which only a peer knew: then this one has
// been given again, and the next takeover, which now knows of it, leaves it out.
void SessionRole::requireLaterThanTaken(const failover::EpochView& elected) {
  if (follower().position().epoch < elected.epoch) return;
  kj::throwFatalException(
      KJ_EXCEPTION(DISCONNECTED, "the epoch of this takeover was lost and has been given again"));
}

// Batches that a peer has committed and ZooKeeper lost: ours from now on, and then the log's.
Co<void> SessionRole::takeFrom(CoordinatorId source) {
  std::vector<ByteString> batches = co_await mender_->fetch(source);
  if (batches.empty()) {
    stopFor({LossVerdict::RESTORE,
             "coordinator " + source.value +
                 " has committed more than the log holds, and does not give it",
             {}});
  }
  for (const ByteString& bytes : batches) {
    ReadBatch read;
    read.batch = decodeBatch(bytes);
    read.position = failover::positionAfter(read.batch, bytes);
    read.bytes = bytes;
    take(kj::mv(read));
  }
}

Co<Contender::Elected> SessionRole::tail() {
  for (;;) {
    if (!lost_) co_await follow();
    lost_ = !co_await readOrJudge();
    if (lost_) co_await env().timer.afterDelay(toKj(LOST_LOOK));
  }
}

// Takes batches as they come, until a look at the whole is due.
Co<void> SessionRole::follow() {
  // A new reader after each look that came to nothing: cancelling one in the middle must not lose a
  // batch.
  auto reader = newReader();
  fault_.reset();
  try {
    for (;;) {
      auto read = co_await nextBatch(*reader);
      KJ_IF_MAYBE (batch, read) {
        take(kj::mv(*batch));
      } else {
        co_return;
      }
    }
  } catch (const kj::Exception&) {
    bool isLost = fault_ && fault_->fault == failover::LogFault::LOST_SUFFIX;
    if (!isLost) throw;
  }
}

void SessionRole::suspect(BatchNumber batch) {
  if (suspected_.size() < BATCHES_KEPT) suspected_.insert(batch);
}

// While leading: whether the log still holds what we committed, and, some at a time, whether each
// of its newest records is what it was.
Co<void> SessionRole::keepLog(int32_t epochVersion) {
  BatchNumber next;
  for (;;) {
    co_await env().timer.afterDelay(toKj(KEEP_LOOK));
    if (session_->state() != SessionState::CONNECTED) continue;
    LogPosition held = env().store.meta()->applied;
    if (held.batch.value == 0) continue;
    std::vector<failover::Op> ops;
    ops.push_back(failover::checkOp(paths_.epoch(), epochVersion));
    ops.push_back(failover::checkOp(paths_.batch(held.batch)));
    auto present = co_await session_->multi(std::move(ops));
    if (present.code == failover::ZkCode::NO_NODE) {
      leading_->resign(paths_.batch(held.batch) + " is gone: ZooKeeper lost it");
      co_return;
    }
    if (present.code != failover::ZkCode::OK) continue;
    std::set<BatchNumber> due = std::exchange(suspected_, {});
    uint64_t oldest = held.batch.value > BATCHES_KEPT ? held.batch.value - BATCHES_KEPT : 0;
    for (size_t i = 0; i < KEEP_RECORDS; i++) {
      next = next.value < oldest || next >= held.batch ? BatchNumber{oldest + 1} : next.next();
      due.insert(next);
    }
    for (BatchNumber batch : due) {
      bool written = co_await mender_->look(batch, epochVersion);
      if (!written) continue;
      raise({AlarmKind::LOG_CORRUPT, paths_.batch(batch) +
                                         " was damaged or missing in ZooKeeper; it is written "
                                         "again from the bytes that were committed"});
      facts().alarms.clear(AlarmKind::LOG_CORRUPT);
    }
  }
}

kj::Promise<kj::Maybe<ReadBatch>> SessionRole::nextBatch(LogReader& reader) {
  using Next = kj::Maybe<ReadBatch>;
  auto read =
      reader.waitNext(env().timer).then([](ReadBatch batch) { return Next(kj::mv(batch)); });
  auto late = env().timer.afterDelay(toKj(STANDBY_LOOK)).then([] { return Next(nullptr); });
  // After a reconnect the log must still hold what we have: the service may have lost it.
  auto moved = session_->stateChanged().then([] { return Next(nullptr); });
  return read.exclusiveJoin(kj::mv(late)).exclusiveJoin(kj::mv(moved));
}

void SessionRole::take(ReadBatch read) {
  follower().take(read);
  if (!MUSTER_PLANTED_BUG(TIME_GOES_BACK)) {
    parts_.leading.clusterClock.atLeast(read.batch.leaderTime);
  }
  parts_.onFresh();
  parts_.leading.onCommitted();
}

}  // namespace muster::coordinator
