#include "coordinator/session_role.h"

#include "base/kj_time.h"
#include "coordinator/snapshot_restore.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

constexpr Duration LOOK_AGAIN = 5_s;

constexpr uint64_t PROVE_AGAIN_AFTER = 500;  // batches: fewer than are kept before a snapshot

using failover::Contender;
using failover::EpochView;
using failover::LogFault;
using failover::LogReader;
using failover::LogTrimmer;
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
    if (facts().session == SessionState::ENDED) co_return;
    co_await session_->stateChanged();
  }
}

Co<void> SessionRole::runCo() {
  EpochView view = co_await awaitTree();
  history_ = view.history;
  parts_.onView(view);
  dropOlderHistory();
  follower().open(parts_.identity.cluster, history_);
  parts_.leading.clusterClock.atLeast(follower().position().leaderTime);
  co_await catchUp();
  contender_ =
      kj::heap<Contender>(*session_, env().timer, env().clock, env().random, parts_.identity);
  contender_->onView([this](const EpochView& newer) { parts_.onView(newer); });
  parts_.deathWatch.serve(*contender_, *session_);
  takeSnapshots();

  Contender::Elected elected = co_await contender_->campaign().exclusiveJoin(tail().asPromise());
  facts().stage = Stage::ELECTED;
  facts().takeover.elected = env().clock.steadyNow();
  parts_.deathWatch.won(elected);
  facts().elections++;
  parts_.onView(elected.view);
  env().logger.info("elected", {{"epoch", elected.view.epoch}, {"reason", elected.reason}});
#ifndef MUSTER_PLANTED_BUG_UNREAD_TAKEOVER
  // On the session that took over: nothing can be appended behind it but by us.
  co_await readToEnd(Proof::ONCE_ELECTED);
#endif
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
  auto ended = co_await leading_->run();
  env().logger.info("leadership over", {{"epoch", elected.view.epoch}, {"why", ended.text}});
  KJ_REQUIRE(
      ended.why != failover::LeadershipEnd::STORE_FAULT,
      "E0705 the coordination service contradicts itself; nothing is appended until somebody "
      "looks",
      ended.text.c_str());
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

Co<EpochView> SessionRole::awaitTree() {
  bool told = false;
  for (;;) {
    auto found = co_await failover::readEpoch(*session_, paths_);
    KJ_IF_MAYBE (view, found) co_return kj::mv(*view);
    if (!told) {
      env().logger.warn("this cluster was not bootstrapped; run muster-coordinator --bootstrap",
                        {{"path", paths_.epoch()}});
    }
    told = true;
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

Co<void> SessionRole::readToEnd(Proof proof) {
  BatchNumber first = follower().position().batch;
  LogReader reader(*session_, paths_, history_, follower().position());
  if (proof == Proof::ONCE_ELECTED) {
    co_await reader.verifyOnceElected();
  } else {
    co_await reader.verifyPosition();
  }
  for (;;) {
    auto read = co_await reader.next();
    KJ_IF_MAYBE (batch, read) {
      take(kj::mv(*batch));
    } else {
      break;
    }
  }
  // What we read so long may have been trimmed under us: an end that is none.
  bool longer = follower().position().batch.value > first.value + PROVE_AGAIN_AFTER;
  if (longer) co_await reader.verifyPosition();
  parts_.onFresh();
}

Co<Contender::Elected> SessionRole::tail() {
  // A new reader after each look that came to nothing: cancelling one in the middle must not lose a
  // batch.
  for (;;) {
    LogReader reader(*session_, paths_, history_, follower().position());
    for (;;) {
      auto read = co_await nextBatch(reader);
      KJ_IF_MAYBE (batch, read) {
        take(kj::mv(*batch));
      } else {
        break;
      }
    }
    LogReader look(*session_, paths_, history_, follower().position());
    co_await look.verifyPosition();
    auto now = co_await look.next();
    KJ_IF_MAYBE (batch, now) {
      take(kj::mv(*batch));
    } else {
      parts_.onFresh();
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
  parts_.leading.clusterClock.atLeast(read.batch.leaderTime);
  parts_.onFresh();
  parts_.leading.onCommitted();
}

}  // namespace muster::coordinator
