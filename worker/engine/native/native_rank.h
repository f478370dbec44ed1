// One rank of the native engine, from its task to Ready: loads its slices, proves them, joins its
// group.
#pragma once

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/tasks.h"
#include "protocol/order.h"
#include "worker/engine/native/group.h"
#include "worker/engine/native/slice_load.h"

#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

struct NativeRankTask {
  Assignment assignment;
  ModelManifest manifest;
  std::vector<std::string> modelRoots;
  std::string listenAddress;  // IP address
  Duration joinTimeout = 5_min;
};

class NativeRank {
 public:
  NativeRank(kj::Network& network, kj::Timer& timer, Random& random);

  // Starts the work. A repeat for the same ref does nothing; refuses STALE_ORDER for another one.
  Result<Done> start(NativeRankTask task);
  // Where rank 0 listens. The first address counts; repeats do nothing.
  void meet(std::string rendezvous);
  // What this rank is doing, for the agent; `pid` and start time are the agent's to fill.
  RankReport report() const;

 private:
  kj::Promise<void> run();
  kj::Promise<Result<Done>> load();
  kj::Promise<Result<Done>> join();
  kj::Promise<void> watchGroup();
  Result<std::vector<SliceFile>> openFiles(const ModelManifest& manifest) const;
  Result<Done> beginLoad();
  void keepReports(const std::vector<LoadedSlice>& slices);
  void enter(ReplicaPhase phase, std::string message);
  void fail(const Refusal& refusal);

  kj::Network& network_;
  kj::Timer& timer_;
  Random& random_;
  kj::Maybe<NativeRankTask> task_;
  RankReport report_;
  kj::Own<SliceLoad> load_;
  std::vector<LoadedSlice> weights_;
  kj::PromiseFulfillerPair<std::string> rendezvous_;
  bool rendezvousKnown_ = false;
  kj::Own<Group> group_;
  Logger logger_;
  Tasks tasks_;
};

}  // namespace muster::worker
