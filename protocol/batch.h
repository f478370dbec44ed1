// One znode of the replicated log: a dense number, the leader that wrote it, and commands as opaque
// bytes.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster {

using ByteString = std::string;  // bytes, not text

// 128-bit hash of a batch's bytes and of the chain before it (XXH3-128, for corruption and
// divergence, not against forgery).
using ChainHash = Guid;

struct StateHash {
  LogIndex index;
  Guid value;
  bool operator==(const StateHash&) const = default;
};

struct Batch {
  HistoryId history;
  Epoch epoch;
  BatchNumber number;
  LogIndex firstIndex;  // of commands[0]
  Instant leaderTime;
  WallTime wallTime;
  BatchId id;
  ChainHash previousChain;
  std::optional<StateHash> stateHash;
  std::vector<ByteString> commands;  // never empty

  LogIndex lastIndex() const { return {firstIndex.value + commands.size() - 1}; }
  bool operator==(const Batch&) const = default;
};

// Where a reader of the log stands: after which batch, and what that batch was.
struct LogPosition {
  BatchNumber batch;  // 0: before the first
  LogIndex index;     // of the last command read
  ChainHash chain;
  Epoch epoch;
  Instant leaderTime;
  bool operator==(const LogPosition&) const = default;
};

}  // namespace muster
