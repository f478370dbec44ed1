// When ZooKeeper lost what it had acknowledged: what may be written again, by whom, and when only a
// person may decide. Pure; LogRepair (coordinator/) asks and acts.
//
// Only bytes that coordinators verified when they read or committed them are written, under the
// names that they had, by the leader of the newest epoch, before it appends anything of its own. So
// the chain, the indices and the epochs in the log are what they were, and a request that was
// answered keeps its answer.
#pragma once

#include "failover/append_rules.h"
#include "failover/log_reader.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace muster::failover {

// What a coordinator has committed, in its own words.
struct Claim {
  CoordinatorId id;
  LogPosition position;
};

// The end of the log as ZooKeeper has it, read after a write proved that the reads are of now.
struct LogEnd {
  BatchNumber last;  // 0: the log is empty
  ChainHash chain;   // of the bytes of `last`; zero when the log is empty
};

// Bytes that this coordinator verified, of its newest batches.
using HeldBytes = std::function<std::optional<ByteString>(BatchNumber)>;

enum class LossVerdict {
  NOTHING,  // the log holds what everybody has
  BEHIND,   // a peer has committed more than we have and the log holds: take it from there first
  REWRITE,  // a suffix is missing, we hold it, and all who hold something agree
  RESTORE,  // nothing may be written: a person decides
};

struct LossJudgement {
  // A constructor, so that it may be made inside a co_return (see base/co.h).
  // NOLINTNEXTLINE(google-explicit-constructor): a verdict without words is one
  LossJudgement(LossVerdict verdict = LossVerdict::NOTHING, std::string text = {},
                CoordinatorId source = {})
      : verdict(verdict), text(std::move(text)), source(std::move(source)) {}

  LossVerdict verdict;
  std::string text;      // why, unless NOTHING
  CoordinatorId source;  // BEHIND: who has the most
};

// Compares the log's end with what we (`own`, `held`) and the peers have.
LossJudgement judgeLoss(const LogEnd& log, const LogPosition& own, const HeldBytes& held,
                        const std::vector<Claim>& peers);

// Proves that `bytes` continue `from` batch by batch in `history`, and pass through each claim that
// lies on the way. What is wrong; nothing when all is well.
std::optional<std::string> judgeContinuation(LogPosition from, const HistoryId& history,
                                             const std::vector<ByteString>& bytes,
                                             const std::vector<Claim>& peers);

// Writes a record anew in place: multi{check(epoch, v), set(log/N, bytes)}.
std::vector<Op> replaceOps(const Paths& paths, int32_t epochVersion, BatchNumber number,
                           const ByteString& bytes, int32_t version);

}  // namespace muster::failover
