#include "failover/append_rules.h"

#include "base/planted_bug.h"

namespace muster::failover {
namespace {

enum AppendOp : size_t { EPOCH = 0, PREDECESSOR = 1, BATCH = 2 };

// The op that failed; the number of ops when none says so.
size_t failedOp(const MultiResult& result) {
  size_t i = 0;
  while (i < result.results.size() && result.results[i].code != result.code) i++;
  return i;
}

}  // namespace

std::vector<Op> appendOps(const Paths& paths, int32_t epochVersion, BatchNumber number,
                          const ByteString& bytes) {
  std::vector<Op> ops;
  if (MUSTER_PLANTED_BUG(NO_EPOCH_CHECK)) epochVersion = ANY_VERSION;
  ops.push_back(checkOp(paths.epoch(), epochVersion));
  bool isFirst = number.value == 1 || MUSTER_PLANTED_BUG(NO_PREDECESSOR_CHECK);
  ops.push_back(checkOp(isFirst ? paths.log() : paths.batch(BatchNumber{number.value - 1})));
  ops.push_back(createOp(paths.batch(number), bytes));
  return ops;
}

std::vector<Op> checkOps(const Paths& paths, int32_t epochVersion) {
  return std::vector<Op>(1, checkOp(paths.epoch(), epochVersion));
}

AppendOutcome judgeAppend(const MultiResult& result) {
  size_t failed = failedOp(result);
  switch (result.code) {
    case ZkCode::OK:
      return AppendOutcome::COMMITTED;
    case ZkCode::BAD_VERSION:
      return AppendOutcome::FENCED;
    case ZkCode::NODE_EXISTS:
      return AppendOutcome::EXISTS;
    case ZkCode::NO_NODE:
      return failed == PREDECESSOR ? AppendOutcome::PREDECESSOR_MISSING
                                   : AppendOutcome::STORE_FAULT;
    case ZkCode::SESSION_ENDED:
      return AppendOutcome::SESSION_OVER;
    case ZkCode::NO_AUTH:
      return AppendOutcome::STORE_FAULT;
    case ZkCode::CONNECTION_LOSS:
      if (MUSTER_PLANTED_BUG(UNKNOWN_IS_COMMITTED)) return AppendOutcome::COMMITTED;
      return AppendOutcome::UNKNOWN;
    case ZkCode::NOT_EMPTY:
    case ZkCode::NOT_REACHED:
    case ZkCode::OTHER:
      return AppendOutcome::UNKNOWN;
  }
  return AppendOutcome::UNKNOWN;
}

FoundBatch judgeFound(const ByteString& ours, const ByteString& found) {
  // The same id with other bytes would be a fault as well, so the bytes decide; they hold the id.
  return ours == found ? FoundBatch::OURS : FoundBatch::ANOTHERS;
}

}  // namespace muster::failover
