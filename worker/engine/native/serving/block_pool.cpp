#include "worker/engine/native/serving/block_pool.h"

#include <kj/debug.h>

namespace muster::worker {

BlockPool::BlockPool(uint32_t blocks) : taken_(blocks, false) {
  free_.reserve(blocks);
  for (KvBlock block = blocks; block-- > 0;) free_.push_back(block);
}

KvBlock BlockPool::take() {
  KJ_ASSERT(!free_.empty(), "no free block", total());
  KvBlock block = free_.back();
  free_.pop_back();
  taken_[block] = true;
  return block;
}

void BlockPool::giveBack(std::vector<KvBlock>& blocks) {
  for (KvBlock block : blocks) {
    KJ_ASSERT(taken_.at(block), "a block is given back that nobody holds", block);
    taken_[block] = false;
    free_.push_back(block);
  }
  blocks.clear();
}

}  // namespace muster::worker
