#include "worker/engine/native/serving/sampler.h"

#include "base/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace muster::worker {
namespace {

struct WeighedToken {
  TokenId token;
  double weight;  // not normalised
};

bool isLikelier(float a, TokenId idA, float b, TokenId idB) {
  return a > b || (a == b && idA < idB);
}

// Of those that are numbers; nothing when none is.
std::optional<TokenId> likeliestToken(std::span<const float> logits) {
  std::optional<TokenId> best;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) continue;
    if (!best || logits[i] > logits[*best]) best = static_cast<TokenId>(i);
  }
  if (best && !std::isfinite(logits[*best])) return std::nullopt;
  return best;
}

double logOfSum(std::span<const float> logits, double largest) {
  double sum = 0;
  for (float logit : logits) {
    if (!std::isnan(logit)) sum += std::exp(double{logit} - largest);
  }
  return largest + std::log(sum);
}

std::vector<TokenLogprob> listLikeliest(std::span<const float> logits, double logSum,
                                        uint32_t count) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) ids.push_back(static_cast<TokenId>(i));
  }
  auto wanted = ids.begin() + static_cast<ptrdiff_t>(std::min<size_t>(count, ids.size()));
  std::partial_sort(ids.begin(), wanted, ids.end(),
                    [&](TokenId a, TokenId b) { return isLikelier(logits[a], a, logits[b], b); });
  std::vector<TokenLogprob> list;
  for (auto id = ids.begin(); id != wanted; ++id) {
    list.push_back({*id, static_cast<float>(double{logits[*id]} - logSum)});
  }
  return list;
}

std::vector<WeighedToken> weigh(std::span<const float> logits, double largest, double temperature) {
  std::vector<WeighedToken> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) continue;
    double weight = std::exp((double{logits[i]} - largest) / temperature);
    if (weight > 0) candidates.push_back({static_cast<TokenId>(i), weight});
  }
  return candidates;
}

double total(const std::vector<WeighedToken>& candidates) {
  return std::accumulate(candidates.begin(), candidates.end(), 0.0,
                         [](double sum, const WeighedToken& next) { return sum + next.weight; });
}

// Leaves the likeliest, as top-k and then top-p ask.
void narrow(std::vector<WeighedToken>& candidates, const SamplingOptions& options) {
  bool all = options.topP >= 1 && (options.topK == 0 || options.topK >= candidates.size());
  if (all) return;
  std::sort(candidates.begin(), candidates.end(), [](const WeighedToken& a, const WeighedToken& b) {
    return a.weight > b.weight || (a.weight == b.weight && a.token < b.token);
  });
  if (options.topK != 0 && options.topK < candidates.size()) candidates.resize(options.topK);
  double wanted = options.topP * total(candidates);
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || sum < wanted)) sum += candidates[kept++].weight;
  candidates.resize(kept);
}

// Uniform in [0, 1), its own for each seed and position.
double uniform(uint64_t seed, uint64_t position) {
  SeededRandom outer(position);
  SeededRandom inner(seed ^ outer.next());
  return static_cast<double>(inner.next() >> 11) * 0x1p-53;
}

TokenId draw(const std::vector<WeighedToken>& candidates, double share) {
  double left = share * total(candidates);
  for (const WeighedToken& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates.back().token;  // rounding
}

}  // namespace

std::optional<TokenChoice> chooseToken(std::span<const float> logits,
                                       const SamplingOptions& options, uint64_t position,
                                       uint32_t likeliest) {
  auto best = likeliestToken(logits);
  if (!best) return std::nullopt;
  double largest = logits[*best];
  double logSum = logOfSum(logits, largest);
  TokenId token = *best;
  if (options.temperature > 0) {
    auto candidates = weigh(logits, largest, options.temperature);
    narrow(candidates, options);
    token = draw(candidates, uniform(options.seed, position));
  }
  TokenChoice choice{.chosen = {token, static_cast<float>(double{logits[token]} - logSum)}};
  if (likeliest > 0) choice.likeliest = listLikeliest(logits, logSum, likeliest);
  return choice;
}

}  // namespace muster::worker
