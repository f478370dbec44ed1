// The one order of addition that all collectives keep: rank 0's value first, then rank 1's, and so
// on. It depends on nothing but the number of ranks, so that a group that meets again on other
// hosts, over another transport, computes equal bits.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace muster::worker {

// A contiguous part of a message's elements.
struct Part {
  uint64_t begin = 0;
  uint64_t count = 0;
};

// The part of `total` elements that falls to `member` of `members`: parts differ by at most one
// vector of 16 elements, so that they start on cache lines.
Part partOf(uint64_t total, uint32_t member, uint32_t members);

// Returns where member m's values lie; shape [values.size()].
using ValuesOf = std::function<const float*(uint32_t member)>;

// `sum` becomes values(0) + values(1) + ... + values(members - 1), element by element in this
// order. `sum` may be one of the inputs: an element is read from all before it is written.
void sumInOrder(std::span<float> sum, uint32_t members, const ValuesOf& valuesOf);

}  // namespace muster::worker
