// Who takes part in a communicator, and how long one of its operations may take.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

struct Membership {
  std::string name;               // for texts: "world", "tensor group of stage 1"
  std::vector<RankNumber> ranks;  // of the replica, ascending; shape [size], at least one
  uint32_t self = 0;              // index of this rank in `ranks`
  Duration deadline = 120_s;      // of one operation

  uint32_t size() const { return static_cast<uint32_t>(ranks.size()); }
  // "rank 5", by its number in the replica.
  std::string rankName(uint32_t member) const {
    return "rank " + std::to_string(ranks[member].value);
  }
};

enum class OperationKind : uint32_t { NONE, ALL_REDUCE, ALL_GATHER, BROADCAST, SEND, RECEIVE };

// What a member does at one time, for the texts and to notice members that differ.
struct Operation {
  OperationKind kind = OperationKind::NONE;
  uint64_t bytes = 0;  // of one rank's argument; all members agree on it
  bool operator==(const Operation&) const = default;
};

std::string toText(const Operation& operation);  // "all-reduce of 16384 bytes"

// "tensor group of stage 1: rank 3 did not take part in an all-reduce of 16384 bytes within 2m"
std::string lateText(const Membership& group, const Operation& operation,
                     const std::vector<uint32_t>& missing);

}  // namespace muster::worker
