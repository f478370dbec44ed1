// Questions to attached workers: what is in a model, what a rank wrote.
#pragma once

#include "base/co.h"
#include "base/result.h"
#include "coordinator/worker_registry.h"
#include "protocol/model.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <string>
#include <vector>

namespace muster::coordinator {

constexpr Duration INSPECT_DEADLINE = 30_s;
constexpr Duration READ_LOG_DEADLINE = 5_s;

struct RankLog {
  std::vector<std::string> lines;
  std::string firstError;
};

class WorkerCalls {
 public:
  WorkerCalls(kj::Timer& timer, const WorkerRegistry& registry)
      : timer_(timer), registry_(registry) {}

  // Asks one attached worker after the other, by name, until one has the model. Refuses NO_WORKER
  // when none is attached or none answers; else with the refusal of the worker that came nearest:
  // one that has the model and finds it wrong before one that does not have it.
  kj::Promise<Result<ModelManifest>> inspectModel(std::string source) const;

  // Refuses NODE_LOST when the node is not attached, NOT_FOUND when its agent does not know the
  // rank.
  kj::Promise<Result<RankLog>> readLog(NodeName node, RankRef rank, uint32_t linesMax) const;

 private:
  Co<Result<ModelManifest>> inspectCo(std::string source) const;
  kj::Promise<Result<ModelManifest>> inspectOn(const Attachment& attachment,
                                               const std::string& source) const;

  kj::Timer& timer_;
  const WorkerRegistry& registry_;
};

}  // namespace muster::coordinator
