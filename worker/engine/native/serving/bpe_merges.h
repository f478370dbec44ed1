// Byte-pair encoding: joins the pair of neighbours of the lowest rank, again and again. Source:
// Sennrich, Haddow, Birch, Neural Machine Translation of Rare Words with Subword Units (2016),
// section 3.2.
#pragma once

#include "worker/engine/native/serving/tokenizer.h"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace muster::worker {

class BpeMerges {
 public:
  struct Merge {
    uint32_t rank = 0;  // the order of learning; of two pairs the lower is joined first
    TokenId joined = 0;
  };

  void reserve(size_t count) { merges_.reserve(count); }
  // The first merge of a pair counts.
  void add(TokenId left, TokenId right, Merge merge) { merges_.emplace(key(left, right), merge); }

  // The symbols of one word, joined as far as it goes. Of equal ranks the leftmost is first. Cost
  // O(n log n), so that a word as long as a prompt does no harm.
  std::vector<TokenId> apply(std::vector<TokenId> symbols) const;

 private:
  static uint64_t key(TokenId left, TokenId right) { return uint64_t{left} << 32 | right; }
  std::optional<Merge> find(TokenId left, TokenId right) const;

  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace muster::worker
