// Chooses the next token from a row of logits.
#pragma once

#include "worker/engine/native/serving/tokenizer.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace muster::worker {

struct SamplingOptions {
  double temperature = 1;  // 0: the likeliest token, always
  double topP = 1;         // (0, 1]: only the fewest tokens that together are this likely
  uint32_t topK = 0;       // only the so many likeliest; 0: all
  uint64_t seed = 0;
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;  // of the logits as they are, natural logarithm
  bool operator==(const TokenLogprob&) const = default;
};

struct TokenChoice {
  TokenLogprob chosen;
  std::vector<TokenLogprob> likeliest;  // descending; ties by id
};

// `logits`: one per token of the vocabulary. `position`: of the token chosen, in its sequence. The
// choice is a function of its arguments: who computes a sequence again gets the same tokens.
// `likeliest`: how many are wanted beside the chosen one. Nothing when no logit is a number. Cost
// O(vocabulary) for a greedy choice and for all tokens, else O(vocabulary log vocabulary).
std::optional<TokenChoice> chooseToken(std::span<const float> logits,
                                       const SamplingOptions& options, uint64_t position,
                                       uint32_t likeliest = 0);

}  // namespace muster::worker
