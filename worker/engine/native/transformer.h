// The part of a transformer that one rank computes: its stage's layers, its share of each.
//
// Tensor parallel as in Megatron-LM (Shoeybi et al., arXiv 1909.08053): query, key, value, gate and
// up are cut by rows, output and down by columns, so that a layer needs two sums over the ranks.
// Embedding and head are cut by the vocabulary. Experts are cut in the same way, or spread over the
// ranks whole: every rank has all tokens, so that no tokens travel, and the same sum collects what
// the experts say.
#pragma once

#include "worker/engine/native/exchange.h"
#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/rank_weights.h"

#include <memory>
#include <vector>

namespace muster::worker {

// What a rank needs beside its weights; each must outlive the transformer.
struct TransformerParts {
  Backend& backend;
  const RankWeights& weights;
  RankCollectives collectives;
  OperationBoard* board = nullptr;  // where it notes what it does; null: nowhere
};

// One rank's computation in one generation; a new one starts with an empty cache.
class Transformer {
 public:
  // Throws when the cache does not fit the device.
  Transformer(TransformerParts parts, KvCacheShape cache);

  // Computes this rank's part of a step, together with all other ranks of the group. Returns the
  // logits of the wanted rows, shape [rows][vocabulary], on the ranks of the last stage; elsewhere
  // nothing. Throws CollectiveBroken when the group is broken.
  std::vector<float> compute(const std::vector<StepSequence>& sequences);

  const RankWeights& weights() const { return weights_; }

 private:
  struct Scratch;
  void note(RankOperation what, uint32_t detail = 0) const { noteOperation(board_, what, detail); }
  // Rows of scratch memory for the batch under way.
  Activations rowsOf(DeviceBuffer& buffer, uint32_t width);
  void makeScratch(uint32_t rows);
  void receiveOrEmbed(const Batch& batch);
  void computeLayer(const LayerWeights& layer, uint32_t number);
  void attention(const LayerWeights& layer, uint32_t number);
  void normHeads(Activations heads, const DeviceBuffer& norm);
  void feedForward(const FeedForwardWeights& weights, ConstActivations in, Activations out);
  void experts(const LayerWeights& layer, Activations normed, Activations out);
  std::vector<float> logits(const std::vector<uint32_t>& wanted);
  std::vector<float> joinVocabulary(std::vector<float> parts, uint32_t rows) const;

  Backend& backend_;
  const RankWeights& weights_;
  Exchange exchange_;
  OperationBoard* board_;
  AttentionShape attention_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Scratch> scratch_;
  uint32_t rows_ = 0;  // of the batch under way

 public:
  ~Transformer() noexcept(false);
};

}  // namespace muster::worker
