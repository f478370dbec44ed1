// Which blocks of the paged cache are free.
#pragma once

#include "worker/engine/native/step.h"  // check_layers: depends: a header alone

#include <cstdint>
#include <vector>

namespace muster::worker {

class BlockPool {
 public:
  explicit BlockPool(uint32_t blocks);

  uint32_t total() const { return static_cast<uint32_t>(taken_.size()); }
  uint32_t free() const { return static_cast<uint32_t>(free_.size()); }

  KvBlock take();  // asserts that one is free
  // Asserts that each was taken; empties the list.
  void giveBack(std::vector<KvBlock>& blocks);

 private:
  std::vector<KvBlock> free_;  // the last one goes first: it is the likeliest to be in a cache
  std::vector<bool> taken_;
};

}  // namespace muster::worker
