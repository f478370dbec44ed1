#include "worker/engine/native/transformer.h"

#include "worker/engine/native/expert_routing.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::worker {
namespace {

AttentionShape attentionOf(const RankWeights& weights) {
  const auto& spec = weights.spec;
  const uint32_t tensor = weights.plan.tensor;
  return {.heads = static_cast<uint32_t>(spec.heads / tensor),
          .kvHeads = static_cast<uint32_t>(std::max<uint64_t>(1, spec.kvHeads / tensor)),
          .headSize = static_cast<uint32_t>(spec.headSize),
          .window = static_cast<uint32_t>(spec.slidingWindow.value_or(0))};
}

// Rows of the vocabulary that each rank but the last has.
uint32_t vocabularyPart(const RankWeights& weights) {
  const uint32_t tensor = weights.plan.tensor;
  return static_cast<uint32_t>((weights.spec.vocabulary + tensor - 1) / tensor);
}

}  // namespace

// Device memory of one batch, made for the largest that came.
struct Transformer::Scratch {
  Scratch(Backend& backend, const RankWeights& weights, const AttentionShape& attention,
          uint32_t rows)
      : rows(rows) {
    auto make = [&](uint64_t width) { return DeviceBuffer(backend, rows * width * sizeof(float)); };
    const uint64_t width = weights.spec.hidden;
    const uint64_t intermediate = weights.spec.intermediate / weights.stageCut().ranksOfExpert();
    hidden = make(width);
    normed = make(width);
    partial = make(width);
    queries = make(uint64_t{attention.heads} * attention.headSize);
    keys = make(uint64_t{attention.kvHeads} * attention.headSize);
    values = make(uint64_t{attention.kvHeads} * attention.headSize);
    attended = make(uint64_t{attention.heads} * attention.headSize);
    gate = make(intermediate);
    up = make(intermediate);
    if (weights.spec.experts > 0) {
      routing = make(weights.spec.experts);
      expertIn = make(width);
      expertOut = make(width);
    }
    if (weights.isLastStage()) logits = make(vocabularyPart(weights));
  }

  uint32_t rows;
  DeviceBuffer hidden;   // the residual stream
  DeviceBuffer normed;   // what a block reads
  DeviceBuffer partial;  // what a block adds, before the sum over ranks
  DeviceBuffer queries;
  DeviceBuffer keys;
  DeviceBuffer values;
  DeviceBuffer attended;
  DeviceBuffer gate;
  DeviceBuffer up;
  DeviceBuffer routing;   // scores of the experts
  DeviceBuffer expertIn;  // the rows of one expert
  DeviceBuffer expertOut;
  DeviceBuffer logits;
};

Transformer::Transformer(TransformerParts parts, KvCacheShape cache)
    : backend_(parts.backend),
      weights_(parts.weights),
      exchange_(parts.backend, parts.collectives),
      board_(parts.board),
      attention_(attentionOf(parts.weights)) {
  cache_ = backend_.makeCache({.layers = static_cast<uint32_t>(weights_.layers.size()),
                               .kvHeads = attention_.kvHeads,
                               .headSize = attention_.headSize,
                               .dtype = weights_.spec.dtype,
                               .shape = cache});
}

Transformer::~Transformer() noexcept(false) = default;

Activations Transformer::rowsOf(DeviceBuffer& buffer, uint32_t width) {
  return {buffer.floats(), rows_, width};
}

void Transformer::makeScratch(uint32_t rows) {
  rows_ = rows;
  if (scratch_ != nullptr && scratch_->rows >= rows) return;
  scratch_.reset();
  scratch_ = std::make_unique<Scratch>(backend_, weights_, attention_, rows);
}

std::vector<float> Transformer::compute(const std::vector<StepSequence>& sequences) {
  note(RankOperation::PREPARE);
  const Batch batch = layOut(sequences, weights_.rope);
  makeScratch(batch.rows());
  backend_.begin(batch);
  receiveOrEmbed(batch);
  for (uint32_t i = 0; i < weights_.layers.size(); ++i) computeLayer(weights_.layers[i], i);
  if (weights_.isLastStage()) return logits(batch.wanted);
  const auto hidden = rowsOf(scratch_->hidden, static_cast<uint32_t>(weights_.spec.hidden));
  note(RankOperation::SEND_ACTIVATIONS, weights_.stage + 1);
  exchange_.send(hidden, weights_.stage + 1);
  return {};
}

void Transformer::receiveOrEmbed(const Batch& batch) {
  const auto hidden = rowsOf(scratch_->hidden, static_cast<uint32_t>(weights_.spec.hidden));
  if (weights_.isFirstStage()) {
    note(RankOperation::EMBED);
    backend_.embed(*weights_.embedding, weights_.tensorIndex * vocabularyPart(weights_), hidden);
    note(RankOperation::SUM_EMBEDDING);
    exchange_.sum(hidden);  // each row is zero on all ranks but one
    return;
  }
  KJ_REQUIRE(batch.rows() > 0);
  note(RankOperation::RECEIVE_ACTIVATIONS, weights_.stage - 1);
  exchange_.receive(hidden, weights_.stage - 1);
}

void Transformer::computeLayer(const LayerWeights& layer, uint32_t number) {
  const auto width = static_cast<uint32_t>(weights_.spec.hidden);
  const auto epsilon = static_cast<float>(weights_.spec.normEpsilon);
  const auto hidden = rowsOf(scratch_->hidden, width);
  const auto normed = rowsOf(scratch_->normed, width);
  const auto partial = rowsOf(scratch_->partial, width);
  const uint32_t ofModel = weights_.firstLayer + number;

  note(RankOperation::ATTENTION, ofModel);
  backend_.rmsNorm(hidden, layer.inputNorm.floats(), epsilon, normed);
  attention(layer, number);
  note(RankOperation::SUM_ATTENTION, ofModel);
  exchange_.sum(partial);
  backend_.add(hidden, partial, layer.outputBias.floats());

  note(RankOperation::FEED_FORWARD, ofModel);
  backend_.rmsNorm(hidden, layer.feedForwardNorm.floats(), epsilon, normed);
  if (layer.router != nullptr) {
    experts(layer, normed, partial);
  } else {
    feedForward(layer.feedForward, normed, partial);
  }
  note(RankOperation::SUM_FEED_FORWARD, ofModel);
  exchange_.sum(partial);
  backend_.add(hidden, partial, layer.feedForward.downBias.floats());
}

void Transformer::attention(const LayerWeights& layer, uint32_t number) {
  const auto normed = rowsOf(scratch_->normed, static_cast<uint32_t>(weights_.spec.hidden));
  const auto queries = rowsOf(scratch_->queries, attention_.heads * attention_.headSize);
  const auto keys = rowsOf(scratch_->keys, attention_.kvHeads * attention_.headSize);
  const auto values = rowsOf(scratch_->values, attention_.kvHeads * attention_.headSize);
  const auto attended = rowsOf(scratch_->attended, queries.width);
  attention_.layer = number;

  backend_.multiply(*layer.query, normed, layer.queryBias.floats(), queries);
  backend_.multiply(*layer.key, normed, layer.keyBias.floats(), keys);
  backend_.multiply(*layer.value, normed, layer.valueBias.floats(), values);
  if (weights_.spec.qkNorm) {
    normHeads(queries, layer.queryNorm);
    normHeads(keys, layer.keyNorm);
  }
  backend_.rotate(queries, attention_.headSize);
  backend_.rotate(keys, attention_.headSize);
  backend_.store(*cache_, attention_, keys, values);
  backend_.attend(*cache_, attention_, queries, attended);
  const auto partial = rowsOf(scratch_->partial, static_cast<uint32_t>(weights_.spec.hidden));
  backend_.multiply(*layer.output, attended, nullptr, partial);
}

// Each head is a row of its own to the norm.
void Transformer::normHeads(Activations heads, const DeviceBuffer& norm) {
  const Activations rows{heads.data, heads.rows * (heads.width / attention_.headSize),
                         attention_.headSize};
  backend_.rmsNorm(rows, norm.floats(), static_cast<float>(weights_.spec.normEpsilon), rows);
}

void Transformer::feedForward(const FeedForwardWeights& weights, ConstActivations in,
                              Activations out) {
  const Activations gate{scratch_->gate.floats(), in.rows, weights.gate->rows()};
  const Activations up{scratch_->up.floats(), in.rows, weights.up->rows()};
  backend_.multiply(*weights.gate, in, weights.gateBias.floats(), gate);
  backend_.multiply(*weights.up, in, weights.upBias.floats(), up);
  backend_.gate(gate, up, gate);
  backend_.multiply(*weights.down, gate, nullptr, out);
}

// Every rank of the stage has all tokens and finds the same routes; it adds what its own experts
// say, and the sum over ranks brings the rest.
void Transformer::experts(const LayerWeights& layer, Activations normed, Activations out) {
  const auto& spec = weights_.spec;
  const auto scores = rowsOf(scratch_->routing, static_cast<uint32_t>(spec.experts));
  backend_.multiply(*layer.router, normed, nullptr, scores);
  std::vector<float> onHost(scores.count());
  backend_.download(std::as_writable_bytes(std::span(onHost)), scores.data);
  const auto routed = routeTokens(onHost, static_cast<uint32_t>(spec.experts),
                                  static_cast<uint32_t>(spec.expertsPerToken));
  backend_.clear(out);
  for (const auto& [number, expert] : layer.experts) {
    const auto& tokens = routed[number];
    if (tokens.rows.empty()) continue;
    const auto rows = static_cast<uint32_t>(tokens.rows.size());
    const Activations in{scratch_->expertIn.floats(), rows, normed.width};
    const Activations said{scratch_->expertOut.floats(), rows, normed.width};
    backend_.gatherRows(normed, tokens.rows, in);
    feedForward(expert, in, said);
    backend_.addScaledRows(out, tokens.rows, tokens.factors, said);
  }
}

std::vector<float> Transformer::logits(const std::vector<uint32_t>& wanted) {
  if (wanted.empty()) return {};
  note(RankOperation::LOGITS);
  const auto width = static_cast<uint32_t>(weights_.spec.hidden);
  const auto hidden = rowsOf(scratch_->hidden, width);
  const auto rows = static_cast<uint32_t>(wanted.size());
  const Activations chosen{scratch_->normed.floats(), rows, width};
  backend_.gatherRows(hidden, wanted, chosen);
  backend_.rmsNorm(chosen, weights_.finalNorm.floats(),
                   static_cast<float>(weights_.spec.normEpsilon), chosen);
  const Activations own{scratch_->logits.floats(), rows, weights_.head().rows()};
  backend_.multiply(weights_.head(), chosen, nullptr, own);
  note(RankOperation::GATHER_LOGITS);
  // All ranks gather equally much: the last one, which may have fewer rows, sends some unused.
  return joinVocabulary(exchange_.gather({own.data, rows, vocabularyPart(weights_)}), rows);
}

// From [ranks][rows * own width, then unused] to [rows][vocabulary].
std::vector<float> Transformer::joinVocabulary(std::vector<float> parts, uint32_t rows) const {
  const uint64_t part = vocabularyPart(weights_);
  const uint64_t vocabulary = weights_.spec.vocabulary;
  if (weights_.plan.tensor == 1) return parts;
  std::vector<float> joined(rows * vocabulary);
  for (uint64_t begin = 0, rank = 0; begin < vocabulary; begin += part, ++rank) {
    const uint64_t own = std::min(part, vocabulary - begin);
    for (uint64_t row = 0; row < rows; ++row) {
      const float* from = parts.data() + rank * rows * part + row * own;
      std::copy_n(from, own, joined.data() + row * vocabulary + begin);
    }
  }
  return joined;
}

}  // namespace muster::worker
