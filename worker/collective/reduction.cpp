#include "worker/collective/reduction.h"

#include <algorithm>
#include <array>

namespace muster::worker {
namespace {

constexpr uint64_t VECTOR = 16;  // floats of a cache line
constexpr uint64_t BLOCK = 256;  // elements that are summed before they are written

}  // namespace

Part partOf(uint64_t total, uint32_t member, uint32_t members) {
  uint64_t vectors = (total + VECTOR - 1) / VECTOR;
  uint64_t begin = std::min(total, vectors * member / members * VECTOR);
  uint64_t end = std::min(total, vectors * (member + 1) / members * VECTOR);
  return {begin, end - begin};
}

void sumInOrder(std::span<float> sum, uint32_t members, const ValuesOf& valuesOf) {
  std::array<float, BLOCK> block;
  for (uint64_t begin = 0; begin < sum.size(); begin += BLOCK) {
    uint64_t count = std::min(BLOCK, sum.size() - begin);
    std::copy_n(valuesOf(0) + begin, count, block.begin());
    for (uint32_t member = 1; member < members; ++member) {
      const float* values = valuesOf(member) + begin;
      for (uint64_t i = 0; i < count; ++i) block[i] += values[i];
    }
    std::copy_n(block.begin(), count, sum.begin() + static_cast<ptrdiff_t>(begin));
  }
}

}  // namespace muster::worker
