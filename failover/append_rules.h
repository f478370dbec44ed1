// What the answer to an append means. Pure.
#pragma once

#include "failover/coordination.h"
#include "failover/paths.h"
#include "protocol/batch.h"

#include <string>
#include <vector>

namespace muster::failover {

enum class AppendOutcome {
  COMMITTED,
  UNKNOWN,              // it may have happened or may yet happen: send the same again, nothing new
  FENCED,               // the epoch is another's: whether it happened is unknown; resign
  EXISTS,               // the name is taken: by ourselves (committed) or, a fault, by another
  PREDECESSOR_MISSING,  // a consequence of an unknown outcome before it, or lost data
  SESSION_OVER,
  STORE_FAULT,  // the tree is gone or is not ours
};

// The ops of one append: multi{check(epoch, v), check(log/N-1), create(log/N)}. For N = 1 the
// parent stands in for the predecessor, so that the ops keep their places.
std::vector<Op> appendOps(const Paths& paths, int32_t epochVersion, BatchNumber number,
                          const ByteString& bytes);
// multi{check(epoch, v)}: a read barrier and the base of leases.
std::vector<Op> checkOps(const Paths& paths, int32_t epochVersion);

// `result` of appendOps() or checkOps().
AppendOutcome judgeAppend(const MultiResult& result);

// Whether the bytes found at our batch's name are our batch.
enum class FoundBatch { OURS, ANOTHERS };
FoundBatch judgeFound(const ByteString& ours, const ByteString& found);

}  // namespace muster::failover
