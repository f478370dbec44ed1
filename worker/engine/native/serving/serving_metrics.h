// What the first rank counts, in Prometheus' words. Source: the names are the cluster's own, as
// docs/OPERATIONS.md lists them.
#pragma once

#include "base/units.h"
#include "worker/engine/native/serving/engine_loop.h"

#include <kj/memory.h>

#include <cstdint>
#include <string>

namespace muster::worker {

struct ServingLabels {
  std::string tenant;
  std::string deployment;
  uint32_t replica = 0;
};

// Belongs to one thread. One set of series, whatever is asked.
class ServingMetrics {
 public:
  virtual ~ServingMetrics() noexcept(false) = default;
  static kj::Own<ServingMetrics> make(ServingLabels labels);

  virtual void onRequest(int status) = 0;  // answered so, or so far: a stream counts when it begins
  virtual void onPrompt(uint64_t tokens) = 0;
  virtual void onFirstToken(Duration sinceRequest) = 0;
  virtual void onTokens(uint64_t tokens, Duration sinceLast) = 0;  // all but the first
  virtual void onAnswered(Duration sinceRequest) = 0;
  virtual std::string text(const EngineStatus& engine) const = 0;
};

}  // namespace muster::worker
