// What a rank computes with: its device, its weights for life, and in each generation an executor
// over that generation's communicators. Everything that blocks runs on the engine's own thread.
#pragma once

#include "base/result.h"
#include "worker/collective/communicators.h"
#include "worker/engine/native/engine_thread.h"
#include "worker/engine/native/group_executor.h"
#include "worker/engine/native/group_links.h"
#include "worker/engine/native/rank_weights.h"

#include <kj/async.h>
#include <kj/memory.h>

#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

// By what the ranks of one generation reach each other.
struct GroupMeans {
  GroupMeans(const GroupShape& shape, Communicators::Parts parts, const Clock& clock);
  void abort(const std::string& why);  // from any thread

  Duration deadline;  // of one operation
  Communicators communicators;
  GroupLinks links;  // goes first: it uses the others
};

// One generation's executor. Shared with the engine's thread, which may be inside it when the event
// loop has done with it: whoever does so aborts the communicators first.
class GroupEngine {
 public:
  GroupEngine(const TransformerParts& parts, std::shared_ptr<GroupMeans> means, KvCacheShape cache);
  GroupExecutor& executor() { return executor_; }

 private:
  std::shared_ptr<GroupMeans> means_;
  GroupExecutor executor_;
};

class RankEngine {
 public:
  // `board` outlives this: there it notes what it does.
  explicit RankEngine(OperationBoard& board);
  ~RankEngine() noexcept(false);

  // Opens the device that the others then use; once, before them. Refuses as openBackend().
  kj::Promise<Result<Done>> open(std::string gpu);

  // Brings a rank's slices to the device; once. Refuses and throws as placeWeights().
  kj::Promise<Result<Done>> place(RankWeightsTask task, std::vector<LoadedSlice> slices);

  // Meets the other ranks on every communicator, agrees with them on a cache that all have memory
  // for, and makes the executor. `memory`: what this rank may use for keys and values. Throws
  // CollectiveBroken's text as a kj::Exception of type DISCONNECTED when the group is broken.
  kj::Promise<std::shared_ptr<GroupEngine>> enter(std::shared_ptr<GroupMeans> means, Bytes memory);

  // Computes what rank 0 tells, until the group is broken or rank 0 ends it. Resolves with why it
  // broke; empty: it was ended. Not for rank 0.
  kj::Promise<std::string> follow(std::shared_ptr<GroupEngine> group);

  // Rank 0 while nobody drives the executor: tells the others once that the group lives. Resolves
  // as follow().
  kj::Promise<std::string> keepAlive(std::shared_ptr<GroupEngine> group);

 private:
  OperationBoard& board_;
  kj::Own<Backend> backend_;
  std::unique_ptr<RankWeights> weights_;
  EngineThread thread_;  // last: what it runs uses the others
};

}  // namespace muster::worker
