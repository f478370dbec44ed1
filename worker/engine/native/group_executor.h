// Steps on all ranks of a group: rank 0 tells each step to the others, every rank computes its
// part, and rank 0 has the logits.
//
// Belongs to the engine's thread, never to the event loop: every call blocks until its step is
// done.
#pragma once

#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/step.h"
#include "worker/engine/native/transformer.h"

#include <optional>

namespace muster::worker {

class GroupExecutor final : public StepExecutor {
 public:
  GroupExecutor(TransformerParts parts, KvCacheShape cache);

  // Rank 0.
  StepResult execute(const Step& step) override;
  void keepAlive() override;
  KvCacheShape cache() const override { return cache_; }
  uint32_t vocabulary() const override;
  uint32_t positions() const override;
  // Lets the other ranks return from followSteps(). Rank 0; nothing may be computed afterwards.
  void end();

  // The other ranks: computes what rank 0 tells, until it ends. Throws CollectiveBroken when the
  // group is broken.
  void followSteps();

 private:
  void check(const Step& step) const;
  template <class Work>
  auto atWork(Work work);
  void beginStep(const Step& step);
  std::optional<Step> awaitStep();
  void computeSteps();
  StepResult collectLogits(std::vector<float> own, uint32_t rows);

  Collective& world_;
  Collective& logits_;
  OperationBoard* board_;
  Transformer transformer_;
  KvCacheShape cache_;
};

}  // namespace muster::worker
