#include "worker/engine/native/rank_control.h"

#include "protocol/codec.h"

#include <utility>

namespace muster::worker {

RankControlServer::RankControlServer(NativeRank& rank, kj::Function<void()> onStop)
    : rank_(rank), onStop_(kj::mv(onStop)) {}

kj::Promise<void> RankControlServer::start(StartContext context) {
  auto in = context.getParams().getTask();
  NativeRankTask task{.assignment = decode(in.getAssignment()),
                      .manifest = decode(in.getManifest()),
                      .listenAddress = in.getListenAddress(),
                      .joinTimeout = {in.getJoinTimeoutNs()}};
  for (auto root : in.getModelRoots()) task.modelRoots.emplace_back(root.cStr());
  task.gpu = in.getGpu();
  auto tls = in.getTls();
  task.tls = {tls.getCa(), tls.getCertificate(), tls.getKey()};
  task.cluster = {in.getCluster()};
  task.weights = decode(in.getWeights());
  task.cacheFolder = in.getCacheFolder();
  task.cacheMax = {in.getCacheBytesMax()};
  auto taken = rank_.start(std::move(task));
  if (!taken) encode(taken.refusal(), context.getResults().initRefusal());
  return kj::READY_NOW;
}

kj::Promise<void> RankControlServer::status(StatusContext context) {
  encode(rank_.report(), context.getResults().initReport());
  return kj::READY_NOW;
}

kj::Promise<void> RankControlServer::meet(MeetContext context) {
  rank_.meet(context.getParams().getRendezvous().cStr());
  return kj::READY_NOW;
}

kj::Promise<void> RankControlServer::advance(AdvanceContext context) {
  auto taken = rank_.advance(decode(context.getParams().getAssignment()));
  if (!taken) encode(taken.refusal(), context.getResults().initRefusal());
  return kj::READY_NOW;
}

kj::Promise<void> RankControlServer::stop(StopContext) {
  onStop_();
  return kj::READY_NOW;
}

}  // namespace muster::worker
