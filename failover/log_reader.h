// Reads the command log in order and proves each batch: dense numbers, hash chain, epochs that
// never go down.
#pragma once

#include "base/co.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "protocol/batch.h"

#include <kj/common.h>

namespace muster::failover {

// Why reading must stop and a person or a restore must decide; never skipped.
enum class LogFault {
  HOLE,
  CORRUPT,
  CHAIN_BROKEN,
  EPOCH_WENT_DOWN,
  HISTORY_DIFFERS,
  LOST_SUFFIX,
  UNKNOWN_FORMAT
};

struct ReadBatch {
  Batch batch;
  LogPosition position;  // after this batch
};

class LogReader {
 public:
  LogReader(CoordinationSession& session, Paths paths, HistoryId history, LogPosition from);

  // The next batch if it is there now, nothing if the log ends before it (NO_NODE on this session).
  // Throws DISCONNECTED when the session ends, FAILED with a LogFault's name and the values for a
  // fault.
  kj::Promise<kj::Maybe<ReadBatch>> next();
  // The next batch, waiting for it by a watch and a second look every 5 s of `timer`.
  kj::Promise<ReadBatch> waitNext(kj::Timer& timer);

  const LogPosition& position() const { return position_; }

  // Proves that `position`'s batch is in ZooKeeper with the chain hash we have; throws LOST_SUFFIX
  // otherwise.
  kj::Promise<void> verifyPosition();

 private:
  CoordinationSession& session_;
  Paths paths_;
  HistoryId history_;
  LogPosition position_;
};

}  // namespace muster::failover
