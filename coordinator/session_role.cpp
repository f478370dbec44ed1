#include "coordinator/session_role.h"

#include "base/kj_time.h"
#include "base/planted_bug.h"
#include "coordinator/snapshot_restore.h"
#include "failover/snapshot_reader.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <utility>

namespace muster::coordinator {
namespace {

constexpr Duration LOOK_AGAIN = 5_s;
// A session that is not connected for so long is given up for a new one. After a restore from an
// old copy the servers refuse for ever a session that has seen more than they hold; and a leader
// that can prove nothing gives its uncommitted state back, so that stale reads can be answered.
constexpr Duration CUT_OFF_MAX = 5_s;
constexpr Duration LOST_LOOK = 500_ms;  // of who waits for lost batches to be written again
constexpr Duration KEEP_LOOK = 1_s;     // of a leader at its log
constexpr size_t KEEP_RECORDS = 8;  // compared each time: all that are kept within three minutes

constexpr uint64_t PROVE_AGAIN_AFTER = 500;  // batches: fewer than are kept before a snapshot

using failover::Contender;
using failover::EpochView;
using failover::LogFault;
using failover::LogReader;
using failover::LogTrimmer;
using failover::LossVerdict;
using failover::ReadBatch;
using failover::SessionState;

}  // namespace

SessionRole::SessionRole(Parts parts, kj::Own<failover::CoordinationSession> session)
    : parts_(kj::mv(parts)),
      paths_(parts_.identity.cluster),
      session_(kj::mv(session)),
      tasks_("coordination session") {
  tasks_.add(watchSession());
}

SessionRole::~SessionRole() noexcept(false) { parts_.deathWatch.leave(); }

kj::Promise<void> SessionRole::run() {
  return runCo().asPromise().catch_([](kj::Exception&& exception) {
    if (!failover::isFault(exception, LogFault::TRIMMED)) {
      kj::throwFatalException(kj::mv(exception));
    }
    // The next session starts with the snapshot.
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "this coordinator fell behind the log",
                                         exception.getDescription()));
  });
}

kj::Maybe<Leading&> SessionRole::leading() {
  if (leading_.get() == nullptr) return nullptr;
  return *leading_;
}

Co<void> SessionRole::watchSession() {
  for (;;) {
    facts().session = session_->state();
    facts().sessionId = session_->sessionId();
    if (facts().session == SessionState::CONNECTED) {
      facts().cutOffSince.reset();
    } else if (!facts().cutOffSince) {
      facts().cutOffSince = env().clock.steadyNow();
    }
    if (facts().session == SessionState::ENDED) co_return;
    kj::Promise<void> changed = session_->stateChanged();
    if (facts().session == SessionState::CONNECTING) {
      auto late = env().timer.afterDelay(toKj(CUT_OFF_MAX)).then([this] {
        env().logger.warn("ZooKeeper is not reached: this session is given up",
                          {{"for", CUT_OFF_MAX}});
        session_->close();
      });
      changed = changed.exclusiveJoin(kj::mv(late));
    }
    co_await kj::mv(changed);
  }
}

Co<void> SessionRole::runCo() {
  EpochView view = co_await awaitTree();
  history_ = view.history;
  parts_.onView(view);
  dropOlderHistory();
  co_await rebuildIfDamaged();
  follower().open(parts_.identity.cluster, history_);
  parts_.leading.clusterClock.atLeast(follower().position().leaderTime);
  makeMender();
  lost_ = !co_await readOrJudge();
  contender_ =
      kj::heap<Contender>(*session_, env().timer, env().clock, env().random, parts_.identity);
  contender_->onView([this](const EpochView& newer) { parts_.onView(newer); });
  contender_->onMayBeElected(
      [this] { endReads_ = failover::readEnd(*session_, paths_, follower().position()); });
  parts_.deathWatch.serve(*contender_, *session_);
  takeSnapshots();

  Contender::Elected elected = co_await contender_->campaign().exclusiveJoin(tail().asPromise());
  facts().stage = Stage::ELECTED;
  facts().takeover.elected = env().clock.steadyNow();
  parts_.deathWatch.won(elected);
  facts().elections++;
  parts_.onView(elected.view);
  env().logger.info("elected", {{"epoch", elected.view.epoch}, {"reason", elected.reason}});
  // On the session that took over: nothing can be appended behind it but by us.
  if (!MUSTER_PLANTED_BUG(UNREAD_TAKEOVER)) co_await readBeforeLeading(elected.view.version);
  // Whoever's state was wrong leads no more. A follower waits for the next leader's hash.
  facts().alarms.clear(AlarmKind::LEADER_DIVERGED);
  facts().stage = Stage::CAUGHT_UP;
  facts().takeover.caughtUp = env().clock.steadyNow();
  env().logger.info("caught up",
                    {{"epoch", elected.view.epoch}, {"index", follower().position().index}});

  auto times = [this] {
    return failover::BatchTimes{parts_.leading.clusterClock.now(), env().clock.wallNow()};
  };
  auto leadership =
      contender_->lead(elected, follower().position(), times, failover::AppendOptions());
  leading_ = kj::heap<Leading>(parts_.leading, kj::mv(leadership), elected.reason);
  trimLog();
  tasks_.add(keepLog(elected.view.version));
  auto ended = co_await leading_->run();
  env().logger.info("leadership over", {{"epoch", elected.view.epoch}, {"why", ended.text}});
  if (ended.why == failover::LeadershipEnd::STORE_FAULT) {
    // What it is shows when the next session compares the log with what we hold.
    trouble_ = Trouble{AlarmKind::LOG_CONTRADICTS,
                       "the coordination service contradicts itself: " + ended.text};
  }
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the leadership is over", ended.text.c_str()));
}

// After a restore what this coordinator has is of another past; it begins anew, as with an empty
// disk. A history that is not newer is left to the store to refuse.
void SessionRole::dropOlderHistory() {
  auto meta = env().store.meta();
  if (!meta || meta->cluster != parts_.identity.cluster) return;
  if (meta->history.number >= history_.number) return;
  env().logger.warn("the cluster was restored: this coordinator drops its state and takes the new",
                    {{"had_history", meta->history.number},
                     {"had_index", meta->applied.index},
                     {"history", history_.number}});
  env().store.replaceAll();
}

void SessionRole::makeMender() {
  LogMender::Parts parts{*session_,         paths_,      history_,    env().store,
                         parts_.deathWatch, env().timer, env().logger};
  mender_ = kj::heap<LogMender>(kj::mv(parts));
}

Co<EpochView> SessionRole::awaitTree() {
  for (;;) {
    auto found = co_await failover::readEpoch(*session_, paths_);
    std::optional<Trouble> trouble;
    KJ_IF_MAYBE (view, found) {
      auto held = env().store.meta();
      if (held) trouble = historyTrouble(view->history, *held);
      if (!trouble) co_return kj::mv(*view);
    } else {
      trouble = co_await missingTree();
    }
    if (trouble) raise(*trouble);
    auto watch = co_await session_->watch(paths_.epoch());
    co_await watch.changed.exclusiveJoin(env().timer.afterDelay(toKj(LOOK_AGAIN)));
  }
}

// Reads the log, or what stands in for the part of it that was trimmed.
Co<void> SessionRole::catchUp() {
  for (;;) {
    bool trimmed = co_await readToEnd(Proof::BY_WRITE)
                       .asPromise()
                       .then([] { return false; },
                             [](kj::Exception&& exception) {
                               if (!failover::isFault(exception, LogFault::TRIMMED)) {
                                 kj::throwFatalException(kj::mv(exception));
                               }
                               return true;
                             });
    if (!trimmed) co_return;
    co_await restore();
  }
}

Co<void> SessionRole::restore() {
  RestoreParts parts{*session_, paths_,      env().store, parts_.identity.cluster,
                     history_,  env().logger};
  auto manifest = co_await restoreFromCurrent(kj::mv(parts));
  follower().open(parts_.identity.cluster, history_);
  KJ_REQUIRE(follower().state().hash() == manifest.stateHash,
             "E0901 the state of the snapshot is not the one it names",
             manifest.position.index.value);
  facts().snapshotIndex = manifest.position.index;
  parts_.leading.clusterClock.atLeast(follower().position().leaderTime);
  env().logger.info("restored from a snapshot", {{"index", manifest.position.index}});
}

void SessionRole::takeSnapshots() {
  taker_ = kj::heap<SnapshotTaker>(SnapshotTaker::Parts{
      env(), parts_.identity.id, paths_, parts_.snapshots, follower(), facts(), *session_});
  tasks_.add(taker_->run());
}

void SessionRole::trimLog() {
  LogTrimmer::Parts parts{
      *session_,
      env().timer,
      paths_,
      history_,
      [this](std::vector<failover::Op> ops) { return leading_->leadership().fenced(kj::mv(ops)); },
      env().logger};
  parts.keptBatches = parts_.snapshots.keptBatches;
  parts.onCurrent = [this](const failover::SnapshotManifest& manifest) {
    facts().snapshotIndex = manifest.position.index;
  };
  trimmer_ = kj::heap<LogTrimmer>(kj::mv(parts));
  tasks_.add(trimmer_->run());
}

// A read proves presence only, so a write asks before anything is said about absence.
Co<std::optional<Trouble>> SessionRole::missingTree() {
  auto held = env().store.meta();
  if (!held) {
    if (!std::exchange(saidUnmade_, true)) {
      env().logger.warn("this cluster was not bootstrapped; run muster-coordinator --bootstrap",
                        {{"path", paths_.epoch()}});
    }
    co_return std::nullopt;
  }
  std::vector<failover::Op> ops(1, failover::checkOp(paths_.epoch()));
  auto asked = co_await session_->multi(std::move(ops));
  if (asked.code != failover::ZkCode::NO_NODE) co_return std::nullopt;
  co_return emptyTrouble(paths_.epoch(), *held);
}

void SessionRole::raise(const Trouble& trouble) {
  if (!facts().alarms.raise(trouble.kind, trouble.text)) return;
  env().logger.error("alarm", {{"alarm", toText(trouble.kind)}, {"text", trouble.text}});
}

// A state that is not the log's is dropped, once it is sure that it can be made again.
Co<void> SessionRole::rebuildIfDamaged() {
  if (!follower().damage()) co_return;
  std::string first = paths_.batch(BatchNumber{1});
  auto found = co_await session_->get(first);
  auto snapshot = co_await failover::readCurrentSnapshot(*session_, paths_);
  if (found.code == failover::ZkCode::NO_NODE && snapshot == nullptr) {
    trouble_ = Trouble{AlarmKind::STATE_DIVERGED,
                       *follower().damage() + ". The log does not go back to its start (" + first +
                           " is gone) and there is no snapshot, so the state cannot be made again"};
    KJ_FAIL_REQUIRE("E0901 the state cannot be made again", first.c_str());
  }
  if (found.code != failover::ZkCode::OK && snapshot == nullptr) {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the log's start was not read"));
  }
  env().store.claim(parts_.identity.cluster, history_);
  follower().rebuild();
}

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
Co<void> SessionRole::readBeforeLeading(int32_t epochVersion) {
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
    } else {
      bool written = co_await mender_->rewrite(epochVersion);
      if (!written) stopFor(judgement);
    }
  }
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
  auto late = env().timer.afterDelay(toKj(LOOK_AGAIN)).then([] { return Next(nullptr); });
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
