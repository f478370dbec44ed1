#include "worker/engine/native/serving/bpe_merges.h"

#include <functional>
#include <queue>
#include <tuple>

namespace muster::worker {
namespace {

constexpr uint32_t NONE = ~uint32_t{0};

// The symbols that are left, as a list in both directions over the places of the original ones.
struct Chain {
  explicit Chain(std::vector<TokenId> symbols)
      : ids(std::move(symbols)), next(ids.size()), previous(ids.size()), gone(ids.size(), false) {
    for (uint32_t i = 0; i < ids.size(); ++i) {
      previous[i] = i == 0 ? NONE : i - 1;
      next[i] = i + 1 == ids.size() ? NONE : i + 1;
    }
  }

  // `at` takes over its right neighbour.
  void join(uint32_t at, TokenId joined) {
    uint32_t right = next[at];
    ids[at] = joined;
    gone[right] = true;
    next[at] = next[right];
    if (next[at] != NONE) previous[next[at]] = at;
  }

  std::vector<TokenId> ids;
  std::vector<uint32_t> next;
  std::vector<uint32_t> previous;
  std::vector<bool> gone;
};

// A pair that could be joined when it was seen; since then either side may have changed.
struct Candidate {
  uint32_t rank;
  uint32_t at;
  TokenId left;
  TokenId right;
  TokenId joined;
  bool operator>(const Candidate& other) const {
    return std::tie(rank, at) > std::tie(other.rank, other.at);
  }
  bool stillIn(const Chain& chain) const {
    return !chain.gone[at] && chain.next[at] != NONE && chain.ids[at] == left &&
           chain.ids[chain.next[at]] == right;
  }
};

}  // namespace

std::optional<BpeMerges::Merge> BpeMerges::find(TokenId left, TokenId right) const {
  auto found = merges_.find(key(left, right));
  if (found == merges_.end()) return std::nullopt;
  return found->second;
}

std::vector<TokenId> BpeMerges::apply(std::vector<TokenId> symbols) const {
  if (symbols.size() < 2) return symbols;
  Chain chain(std::move(symbols));
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  auto consider = [&](uint32_t at) {
    if (at == NONE || chain.next[at] == NONE) return;
    TokenId left = chain.ids[at];
    TokenId right = chain.ids[chain.next[at]];
    if (auto merge = find(left, right)) {
      candidates.push({merge->rank, at, left, right, merge->joined});
    }
  };
  for (uint32_t i = 0; i < chain.ids.size(); ++i) consider(i);
  while (!candidates.empty()) {
    Candidate best = candidates.top();
    candidates.pop();
    if (!best.stillIn(chain)) continue;
    chain.join(best.at, best.joined);
    consider(chain.previous[best.at]);
    consider(best.at);
  }
  std::vector<TokenId> joined;
  for (uint32_t at = 0; at != NONE; at = chain.next[at]) joined.push_back(chain.ids[at]);
  return joined;
}

}  // namespace muster::worker
