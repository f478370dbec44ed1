// The answers of one request on their way, gathered until somebody takes what is new.
#pragma once

#include "base/clock.h"
#include "base/tasks.h"
#include "worker/engine/native/serving/engine_loop.h"
#include "worker/engine/native/serving/serving_metrics.h"

#include <kj/async.h>

#include <vector>

namespace muster::worker {

struct NewPiece {
  uint32_t index = 0;  // of the answer
  GenerationPiece piece;
};

// Destroying it cancels what has not ended.
class Answers {
 public:
  // All that is borrowed must outlive it. `asked`: when the request came.
  Answers(std::vector<kj::Own<Generation>> generations, ServingMetrics& metrics, const Clock& clock,
          SteadyTime asked);

  // What came since the last call, at most one piece of each answer, in their order; waits until
  // there is something. Empty once all have ended. One call at a time.
  kj::Promise<std::vector<NewPiece>> next();

 private:
  struct Answer {
    kj::Own<Generation> generation;
    GenerationPiece fresh = {};
    bool isFresh = false;
    bool ended = false;
    SteadyTime lastToken = {};
    bool hasToken = false;
  };
  kj::Promise<void> follow(uint32_t index);
  void take(Answer& answer, GenerationPiece piece);
  void measure(Answer& answer, size_t tokens);
  std::vector<NewPiece> takeFresh();
  bool allEnded() const;

  std::vector<Answer> answers_;
  ServingMetrics& metrics_;
  const Clock& clock_;
  SteadyTime asked_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waker_;
  Tasks tasks_;
};

}  // namespace muster::worker
