// Looks into models on a thread, so that a slow or hanging file system does not hold up the agent.
#pragma once

#include "base/tasks.h"
#include "base/units.h"
#include "worker/model_roots.h"
#include "worker/ranks.h"

#include <kj/timer.h>

#include <deque>
#include <functional>
#include <string>

namespace muster::worker {

struct InspectionLimits {
  Duration deadline = 25_s;  // of one request, its time in the queue included
  uint32_t queueMax = 16;    // requests that wait; beyond it OVERLOADED
};

// One at a time. A request that takes too long is refused TIMED_OUT, but its thread goes on, and
// the next request waits for its end: a hanging file system costs one thread.
class ThreadedInspection final : public ModelInspection {
 public:
  // Runs on the thread, and must refer to nothing that may go before it ends.
  using Look = std::function<Result<ModelManifest>(const std::string& source)>;

  ThreadedInspection(kj::Timer& timer, Look look, InspectionLimits limits = {});

  kj::Promise<Result<ModelManifest>> inspect(std::string source) override;

 private:
  struct Request {
    std::string source;
    kj::Own<kj::PromiseFulfiller<Result<ModelManifest>>> answer;
  };
  void startNext();
  void finished(Request request, Result<ModelManifest> outcome);

  kj::Timer& timer_;
  Look look_;
  InspectionLimits limits_;
  std::deque<Request> queue_;
  bool busy_ = false;
  Tasks tasks_;
};

// A look with inspectModel().
ThreadedInspection::Look lookBelow(ModelRoots roots, NodeName node);

}  // namespace muster::worker
