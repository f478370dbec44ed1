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

using failover::Contender;
using failover::EpochView;
using failover::LogFault;
using failover::LogTrimmer;
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
  if (!MUSTER_PLANTED_BUG(UNREAD_TAKEOVER)) co_await readBeforeLeading(elected.view);
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

}  // namespace muster::coordinator
