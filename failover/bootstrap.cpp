#include "failover/bootstrap.h"

#include "base/co.h"
#include "failover/records.h"
#include "failover/session_wait.h"

namespace muster::failover {
namespace {

std::vector<Op> treeOps(const Paths& paths, const EpochView& first, const ClusterName& cluster) {
  std::vector<Op> ops;
  ops.push_back(createOp(paths.root, ""));
  ops.push_back(createOp(paths.epoch(), encodeEpoch(first, cluster)));
  ops.push_back(createOp(paths.candidates(), ""));
  ops.push_back(createOp(paths.log(), ""));
  ops.push_back(createOp(paths.snapshot(), ""));
  return ops;
}

Refusal alreadyThere(const Paths& paths) {
  return Refusal{RefusalCode::ALREADY_RUNNING,
                 paths.root + " exists in ZooKeeper: this cluster was bootstrapped before"};
}

Co<kj::Maybe<EpochView>> readEpochCo(CoordinationSession& session, Paths paths) {
  for (;;) {
    co_await whenConnected(session);
    GetResult got = co_await session.get(paths.epoch());
    if (got.code == ZkCode::OK) {
      co_return kj::Maybe<EpochView>(decodeEpoch(got.data, got.stat.version));
    }
    if (got.code == ZkCode::NO_NODE) co_return kj::Maybe<EpochView>(nullptr);
    if (got.code == ZkCode::SESSION_ENDED) throwSessionEnded();
    KJ_REQUIRE(got.code != ZkCode::NO_AUTH, "the digest for ZooKeeper is not this cluster's",
               paths.epoch().c_str());
  }
}

Co<Result<HistoryId>> bootstrapCo(CoordinationSession& session, Paths paths, ClusterName cluster,
                                  HistoryId history) {
  EpochView first;
  first.history = history;
  for (;;) {
    co_await whenConnected(session);
    MultiResult made = co_await session.multi(treeOps(paths, first, cluster));
    if (made.code == ZkCode::OK) co_return Result<HistoryId>(history);
    if (made.code == ZkCode::SESSION_ENDED) throwSessionEnded();
    if (made.code == ZkCode::NO_AUTH) {
      co_return Result<HistoryId>(
          Refusal{RefusalCode::NOT_ALLOWED, paths.root + " belongs to another digest"});
    }
    if (made.code != ZkCode::NODE_EXISTS)
      continue;  // outcome unknown: the same again, it can only happen once
    // It exists: by an earlier try of ours whose answer was lost, or by another's bootstrap.
    kj::Maybe<EpochView> present = co_await readEpochCo(session, paths);
    KJ_IF_MAYBE (view, present) {
      if (view->history == history) co_return Result<HistoryId>(history);
    }
    co_return Result<HistoryId>(alreadyThere(paths));
  }
}

}  // namespace

kj::Promise<Result<HistoryId>> bootstrap(CoordinationSession& session, Paths paths,
                                         ClusterName cluster, Random& random) {
  return bootstrapCo(session, std::move(paths), std::move(cluster), HistoryId{1, random.guid()});
}

kj::Promise<kj::Maybe<EpochView>> readEpoch(CoordinationSession& session, Paths paths) {
  return readEpochCo(session, std::move(paths));
}

}  // namespace muster::failover
