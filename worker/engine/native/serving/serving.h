// What rank 0 of a group serves: OpenAI requests over HTTPS, answered with what the group computes.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/tls_transport.h"
#include "worker/engine/native/serving/model_text.h"
#include "worker/engine/native/serving/scheduler.h"
#include "worker/engine/native/step.h"  // check_layers: depends: a header alone

#include <kj/async.h>
#include <kj/timer.h>

#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

struct ServingOptions {
  std::string address;               // where to listen: "10.0.0.3:0"
  TlsFiles tls;                      // the node's own certificate
  std::string model;                 // the name that clients ask for
  std::vector<std::string> aliases;  // other names for it
  // Labels of its metrics.
  std::string tenant;
  std::string deployment;
  uint32_t replica = 0;
  Duration stall = 2_min;  // a step that takes longer is reported
  SchedulerLimits limits = {};
};

// Belongs to the thread of a kj event loop; steps are computed on a thread of its own. Destroying
// it ends all requests with an error that may be retried and waits for the step under way: who
// destroys it while a step hangs aborts the group's communicator first.
class Serving {
 public:
  virtual ~Serving() noexcept(false) = default;

  // Listens when it returns. All that is borrowed must outlive it. Refuses PORT_IN_USE and
  // INVALID_VALUE as HttpServer does.
  static Result<kj::Own<Serving>> start(ServingOptions options,
                                        std::shared_ptr<const ModelText> text,
                                        StepExecutor& executor, kj::Timer& timer,
                                        const Clock& clock, Random& random, const Logger& logger);

  virtual std::string address() const = 0;  // "10.0.0.3:41007"

  // Resolves with a sentence when no more can be computed: the group broke (the sentence is that of
  // CollectiveBroken, which names rank and operation), or a step did not end within the stall time.
  // All requests have ended with an error by then, or do so as soon as the step returns. Take once.
  virtual kj::Promise<std::string> broken() = 0;

  // Takes no more requests; resolves when those under way have ended.
  virtual kj::Promise<void> drain() = 0;
};

}  // namespace muster::worker
