#include "worker/engine/native/group_executor.h"

#include "worker/engine/native/step_message.h"

#include <kj/debug.h>

#include <string>

namespace muster::worker {
namespace {

uint32_t blocksNeeded(const StepSequence& sequence, uint32_t blockTokens) {
  const uint64_t end = uint64_t{sequence.firstPosition} + sequence.tokens.size();
  return static_cast<uint32_t>((end + blockTokens - 1) / blockTokens);
}

}  // namespace

GroupExecutor::GroupExecutor(TransformerParts parts, KvCacheShape cache)
    : world_(parts.collectives.world),
      logits_(parts.collectives.logits),
      board_(parts.board),
      transformer_(parts, cache),
      cache_(cache) {
  const auto& weights = parts.weights;
  KJ_REQUIRE(world_.size() == weights.plan.worldSize(), world_.size(), weights.plan.worldSize());
  KJ_REQUIRE(world_.rank() == weights.stage * weights.plan.tensor + weights.tensorIndex);
}

uint32_t GroupExecutor::vocabulary() const {
  return static_cast<uint32_t>(transformer_.weights().spec.vocabulary);
}

uint32_t GroupExecutor::positions() const {
  return static_cast<uint32_t>(transformer_.weights().spec.positions);
}

// A step that breaks these rules would break the other ranks as well.
void GroupExecutor::check(const Step& step) const {
  for (const auto& sequence : step.sequences) {
    KJ_REQUIRE(!sequence.tokens.empty(), "a sequence without tokens", step.number);
    KJ_REQUIRE(sequence.firstPosition + sequence.tokens.size() <= positions(),
               "a sequence longer than the model's positions", step.number);
    KJ_REQUIRE(sequence.blocks.size() >= blocksNeeded(sequence, cache_.blockTokens),
               "a sequence with too few blocks", step.number, sequence.blocks.size());
    for (uint32_t token : sequence.tokens) {
      KJ_REQUIRE(token < vocabulary(), "no such token", step.number, token);
    }
    for (KvBlock block : sequence.blocks) {
      KJ_REQUIRE(block < cache_.blocks, "no such block", step.number, block);
    }
  }
}

// A broken collective says who did not come; this rank adds what it needed them for, unless it was
// the one that gave up and has said so.
template <class Work>
auto GroupExecutor::atWork(Work work) {
  EngineAtWork guard(board_);
  try {
    return work();
  } catch (const CollectiveBroken& broken) {
    if (board_ == nullptr) throw;
    std::string why = broken.what();
    std::string during = board_->duringText();
    throw CollectiveBroken(why.ends_with(during) ? why : why + during);
  }
}

void GroupExecutor::beginStep(const Step& step) {
  if (board_ != nullptr) board_->beginStep(step.number, step.sequences.size());
}

StepResult GroupExecutor::execute(const Step& step) {
  check(step);
  if (step.sequences.empty()) return {};
  return atWork([&] {
    beginStep(step);
    noteOperation(board_, RankOperation::TELL_STEP);
    broadcastStep(world_, step);
    return collectLogits(transformer_.compute(step.sequences), wantedRows(step.sequences));
  });
}

StepResult GroupExecutor::collectLogits(std::vector<float> own, uint32_t rows) {
  const auto& weights = transformer_.weights();
  if (weights.isLastStage() || rows == 0) return {std::move(own)};
  std::vector<float> logits(uint64_t{rows} * vocabulary());
  noteOperation(board_, RankOperation::RECEIVE_LOGITS, weights.plan.pipeline - 1);
  logits_.receive(std::as_writable_bytes(std::span(logits)), weights.plan.pipeline - 1);
  return {std::move(logits)};
}

void GroupExecutor::keepAlive() {
  atWork([&] {
    noteOperation(board_, RankOperation::TELL_ALIVE);
    broadcastStep(world_, Step{});
  });
}

void GroupExecutor::end() { broadcastEnd(world_); }

void GroupExecutor::followSteps() {
  atWork([this] { computeSteps(); });
}

std::optional<Step> GroupExecutor::awaitStep() {
  noteOperation(board_, RankOperation::AWAIT_STEP);
  return receiveStep(world_);
}

void GroupExecutor::computeSteps() {
  const auto& weights = transformer_.weights();
  const bool sendsLogits =
      weights.isLastStage() && !weights.isFirstStage() && weights.tensorIndex == 0;
  while (auto step = awaitStep()) {
    if (step->sequences.empty()) continue;  // rank 0 only says that it is there
    beginStep(*step);
    auto logits = transformer_.compute(step->sequences);
    if (!sendsLogits || logits.empty()) continue;
    noteOperation(board_, RankOperation::SEND_LOGITS);
    logits_.send(std::as_bytes(std::span(logits)), 0);
  }
}

}  // namespace muster::worker
