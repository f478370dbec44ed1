// Hand-over: find the successor, then pause and drain, then multi{set(epoch -> the successor),
// check(its candidate), delete(own candidate)}. The search costs some round trips, so nobody waits
// for it.
#include "failover/bootstrap.h"
#include "failover/log_leadership.h"
#include "failover/session_wait.h"

namespace muster::failover {
namespace {

enum HandOverOp : size_t { EPOCH = 0, SUCCESSOR = 1, OWN_CANDIDATE = 2 };

bool failedAt(const MultiResult& result, HandOverOp op) {
  return result.results.size() > op && result.results[op].code == result.code;
}

bool understands(const CandidateInfo& info) {
  return info.logVersionMin <= LOG_VERSION && LOG_VERSION <= info.logVersionMax;
}

}  // namespace

kj::Promise<bool> LogLeadership::handOver(CoordinatorId successor, std::function<void()> pausing) {
  return handOverCo(std::move(successor), std::move(pausing));
}

Co<bool> LogLeadership::handOverCo(CoordinatorId wanted, std::function<void()> pausing) {
  KJ_REQUIRE(!handingOver_, "a hand-over is under way already");
  handingOver_ = true;
  KJ_DEFER({
    handingOver_ = false;
    drainLeft_.reset();  // if it did not come about, the leadership goes on
    successorGuid_ = Guid{};
    schedulePump();
  });
  kj::Maybe<Successor> found = co_await findSuccessor(std::move(wanted));
  if (over_ || found == nullptr) co_return false;
  Successor successor = KJ_ASSERT_NONNULL(found);
  drainLeft_ = queue_.size();
  pausing();
  bool done = co_await handOverTo(std::move(successor));
  co_return done;
}

Co<bool> LogLeadership::handOverTo(Successor successor) {
  co_await drain();
  EpochView next = nextEpoch(view_, successor.info, successor.session);
  successorGuid_ = successor.info.guid;
  while (!over_) {
    co_await whenConnected(session_);
    MultiResult result = co_await session_.multi(handOverOps(successor, next));
    if (over_) break;
    if (result.code == ZkCode::OK) {
      end(LeadershipEnd::HANDED_OVER, "handed over to " + next.leader.value);
    } else if (result.code == ZkCode::NO_NODE && failedAt(result, SUCCESSOR)) {
      co_return false;
    } else if (result.code == ZkCode::NO_NODE && failedAt(result, OWN_CANDIDATE)) {
      ownCandidate_.clear();  // removed by somebody: nothing is left to delete
    } else if (result.code == ZkCode::BAD_VERSION) {
      co_await endByReadingEpoch(
          successor.info.guid);  // an earlier try of ours, or another's takeover
    } else if (judgeAppend(result) != AppendOutcome::UNKNOWN) {
      endFor(judgeAppend(result), paths_.epoch());
    }  // else unknown: the same again, it can only happen once
  }
  LeadershipEnded ended = co_await ended_.addBranch();
  co_return ended.why == LeadershipEnd::HANDED_OVER;
}

// Until everything appended before the hand-over is committed and no check is under way.
Co<void> LogLeadership::drain() {
  auto paf = kj::newPromiseAndFulfiller<void>();
  drained_ = kj::mv(paf.fulfiller);
  schedulePump();
  co_await kj::mv(paf.promise);
}

void LogLeadership::fulfillIfDrained() {
  if (!flights_.empty() || checkUnderWay_ || !drainLeft_ || *drainLeft_ > 0) return;
  KJ_IF_MAYBE (drained, drained_) {
    (*drained)->fulfill();
  }
  drained_ = nullptr;
}

// The first in line whose id is `wanted`, or the first of all when that is empty. The multi checks
// that it stands.
Co<kj::Maybe<LogLeadership::Successor>> LogLeadership::findSuccessor(CoordinatorId wanted) {
  co_await whenConnected(session_);
  ListResult listed = co_await session_.list(paths_.candidates());
  std::vector<CandidateName> line = lineOf(listed.children, {});
  for (size_t i = 0; i < line.size(); i++) {
    std::string path = paths_.candidates() + "/" + line[i].name;
    if (line[i].guid == view_.leaderGuid) continue;
    GetResult got = co_await session_.get(path);
    if (got.code != ZkCode::OK) continue;
    CandidateInfo info = decodeCandidate(got.data);
    bool asked = wanted.value.empty() || info.coordinator == wanted;
    if (!asked || !understands(info)) continue;
    Successor successor{std::move(info), path, got.stat.ephemeralOwner};
    co_return kj::Maybe<Successor>(kj::mv(successor));
  }
  co_return kj::Maybe<Successor>(nullptr);
}

std::vector<Op> LogLeadership::handOverOps(const Successor& successor,
                                           const EpochView& next) const {
  std::vector<Op> ops;
  ops.push_back(setOp(paths_.epoch(), encodeEpoch(next, cluster_), view_.version));
  ops.push_back(checkOp(successor.path));
  if (!ownCandidate_.empty()) ops.push_back(removeOp(ownCandidate_));
  return ops;
}

Co<void> LogLeadership::endByReadingEpoch(Guid successorGuid) {
  kj::Maybe<EpochView> read = co_await readEpoch(session_, paths_);
  KJ_IF_MAYBE (view, read) {
    bool handedOver = view->leaderGuid == successorGuid && view->epoch == view_.epoch.next();
    if (handedOver)
      co_return end(LeadershipEnd::HANDED_OVER, "handed over to " + view->leader.value);
  }
  endFor(AppendOutcome::FENCED, paths_.epoch());
}

}  // namespace muster::failover
