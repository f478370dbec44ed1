// One rank of the native engine: loads its slices once and proves them, then meets its group, in
// one generation after the other.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "protocol/order.h"
#include "worker/engine/native/group.h"
#include "worker/engine/native/group_data.h"
#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/rank_engine.h"
#include "worker/engine/native/serving/serving.h"
#include "worker/engine/native/slice_load.h"
#include "worker/engine/native/weight_load.h"

#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

struct NativeRankTask {
  Assignment assignment;
  ModelManifest manifest;
  std::vector<std::string> modelRoots;
  std::string listenAddress;  // IP address
  Duration joinTimeout = 5_min;
  std::string gpu = {};  // UUID of the one to compute on; empty: the CPU
  // With which rank 0 answers requests, and any rank reads from other nodes; no certificate: it
  // does neither.
  TlsFiles tls = {};
  ClusterName cluster = {};
  WeightSources weights = {};    // without peers: the files of this node are read
  std::string cacheFolder = {};  // for what comes from peers; empty: none
  Bytes cacheMax = {};
};

// Whether a process that does the one can go on as the other: the same rank with the same weights
// on the same device, in another generation.
bool isSameWork(const Assignment& a, Assignment b);

class NativeRank {
 public:
  // All outlive this. On `board` it notes what it does, for an agent that it does not answer.
  NativeRank(kj::Network& network, kj::Timer& timer, Random& random, OperationBoard& board);

  // Starts the work. A repeat for the same ref does nothing; refuses STALE_ORDER for another one.
  Result<Done> start(NativeRankTask task);
  // Goes on in a higher generation: leaves its group, keeps its weights, also while they are still
  // being loaded, and meets the new one. A repeat does nothing. Refuses STALE_ORDER when the
  // assignment differs in more than generation, secret and rendezvous, or the rank has failed.
  Result<Done> advance(Assignment assignment);
  // Where rank 0 of this generation listens. The first address counts; repeats do nothing.
  void meet(std::string rendezvous);
  // What this rank is doing, for the agent; `pid` and start time are the agent's to fill.
  RankReport report() const;

 private:
  // What a generation has and the next one has not.
  struct Meeting {
    kj::PromiseFulfillerPair<std::string> rendezvous = kj::newPromiseAndFulfiller<std::string>();
    bool rendezvousKnown = false;
    kj::Own<DataPort> port;
    kj::Own<Group> group;
    kj::Maybe<kj::ForkedPromise<std::string>> broken;  // of the group, once it is complete
    std::shared_ptr<GroupMeans> means;                 // shared with the engine's thread
    std::shared_ptr<GroupEngine> engine;
    kj::Own<Serving> serving;  // on rank 0; goes first, when the communicators have been aborted
    ~Meeting() noexcept(false);
  };

  void beginGeneration();
  kj::Promise<void> runGeneration();
  Result<Done> beginLoad();
  Result<Done> beginPeerLoad(sharding::RankShard shard);
  kj::Promise<Result<Done>> load();
  kj::Promise<Result<Done>> loadSlices();
  kj::Promise<Result<Done>> place(std::vector<LoadedSlice> slices);
  kj::Promise<Result<Done>> join();
  kj::Promise<Result<Done>> openPort();
  kj::Promise<Result<Done>> meetGroup();
  kj::Promise<Result<Done>> connect();
  kj::Promise<Result<Done>> warmUp();
  template <class T>
  kj::Promise<T> unlessBroken(kj::Promise<T> promise);
  kj::Promise<Result<Done>> readText();
  kj::Promise<void> serve();
  bool answers() const;
  Result<kj::Promise<std::string>> beginComputing();
  Result<kj::Promise<std::string>> answerRequests();
  kj::Promise<std::string> keepAlive();
  Bytes cacheMemory() const;
  kj::Promise<void> waitForNextGeneration(std::string why);
  GroupTask groupTask() const;
  GroupShape groupShape() const;
  Result<std::vector<SliceFile>> openFiles(const ModelManifest& manifest) const;
  void keepReports(const std::vector<LoadedSlice>& slices);
  void enter(ReplicaPhase phase, std::string message);
  void fail(const Refusal& refusal);

  kj::Network& network_;
  kj::Timer& timer_;
  Random& random_;
  OperationBoard& board_;
  SystemClock clock_;  // of the engine's thread
  kj::Maybe<NativeRankTask> task_;
  RankReport report_;
  kj::Own<Transport> transport_;  // to other nodes' weights; outlives the load
  kj::Own<WeightLoad> load_;
  kj::Maybe<kj::ForkedPromise<Result<Done>>> loaded_;
  kj::Maybe<SharedMemory> memory_;  // of the generation that is being set up
  Logger logger_;
  RankEngine engine_;
  EngineThread reader_;  // of text files, on rank 0
  std::shared_ptr<const ModelText> text_;
  kj::Own<Meeting> meeting_;
  kj::Promise<void> generation_ = nullptr;  // declared last: goes before what it uses
};

}  // namespace muster::worker
