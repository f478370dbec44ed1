// Reads the command log in order and proves each batch: dense numbers, hash chain, epochs that
// never go down.
#pragma once

#include "base/co.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "protocol/batch.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace muster::failover {

// Why reading must stop and a person or a restore must decide; never skipped.
enum class LogFault {
  HOLE,
  CORRUPT,
  CHAIN_BROKEN,
  EPOCH_WENT_DOWN,
  HISTORY_DIFFERS,
  LOST_SUFFIX,
  TRIMMED,  // the log before our position is gone on purpose: start at the current snapshot
  UNKNOWN_FORMAT
};

const char* nameOf(LogFault fault);
// Whether a LogReader's exception says `fault`.
bool isFault(const kj::Exception& exception, LogFault fault);

struct ReadBatch {
  Batch batch;
  LogPosition position;   // after this batch
  ByteString bytes = {};  // as the znode holds them
};

// What is wrong with `batch` (whose znode held `bytes`) as the one after `position`; nothing when
// it is right. Pure.
struct FoundFault {
  // A constructor, because it is made inside coroutines (see base/co.h).
  FoundFault(LogFault fault, std::string text, BatchNumber batch)
      : fault(fault), text(std::move(text)), batch(batch) {}
  LogFault fault;
  std::string text;
  BatchNumber batch;  // the one that is wrong or missing
};
std::optional<FoundFault> judgeBatch(const LogPosition& position, const HistoryId& history,
                                     const Batch& batch);
// Where a reader stands after `batch`.
LogPosition positionAfter(const Batch& batch, const ByteString& bytes);

// Reads of the batch at `position` and of the one behind it, under way.
struct EndReads {
  LogPosition position;
  uint64_t reconnects = 0;  // of the session, when they were sent
  kj::Promise<GetResult> last = nullptr;
  kj::Promise<GetResult> next = nullptr;
};
kj::Own<EndReads> readEnd(CoordinationSession& session, const Paths& paths,
                          const LogPosition& position);

class LogReader {
 public:
  LogReader(CoordinationSession& session, Paths paths, HistoryId history, LogPosition from);
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // The next batch if it is there now, nothing if the log ends before it (NO_NODE on this session,
  // read after this call). The first call, and each after a reconnect, first proves the position
  // (below). Throws DISCONNECTED when the session ends, FAILED with a LogFault's name and the
  // values for a fault.
  kj::Promise<kj::Maybe<ReadBatch>> next();
  // The next batch, waiting for it by a watch and a second look every 5 s of `timer`.
  kj::Promise<ReadBatch> waitNext(kj::Timer& timer);

  const LogPosition& position() const { return position_; }
  // Called with what is wrong, right before an exception says so.
  void onFault(std::function<void(const FoundFault&)> handler) { onFault_ = std::move(handler); }

  // Proves that `position`'s batch is in ZooKeeper with the chain hash we have, and that the
  // history is ours; throws FAILED with LOST_SUFFIX, TRIMMED or HISTORY_DIFFERS otherwise. It asks
  // by a write, because a read only proves presence.
  kj::Promise<void> verifyPosition();

  // The same for a new leader, who is in a hurry: its session has seen the epoch that is its own,
  // so its server has all that came before, and one read is enough. `sent`, which may be null: what
  // was read already behind the takeover; next() goes on with it.
  kj::Promise<void> verifyOnceElected(kj::Own<EndReads> sent);

  // For a new leader whose next() found nothing: true when no later batch exists either, false when
  // the next one came meanwhile. Throws FAILED with HOLE when a later batch exists without the next
  // one. Lists the log: cost O(its size).
  kj::Promise<bool> proveEnd();

 private:
  Co<kj::Maybe<ReadBatch>> nextCo();
  Co<ReadBatch> waitNextCo(kj::Timer& timer);
  Co<void> verifyCo();
  kj::Promise<GetResult> takeLast(kj::Own<EndReads> sent);
  Co<bool> proveEndCo();
  Co<void> countChanges();
  Co<void> judgeMissing(MultiResult present);
  Co<void> requireStart();
  Co<BatchNumber> currentBatch();
  [[noreturn]] void fail(FoundFault fault);
  Co<bool> compareHistory();
  Co<bool> compareChain();
  bool isOurChain(const GetResult& got);
  kj::Promise<GetResult> takeAhead();
  void readAhead();
  ReadBatch accept(const ByteString& bytes);

  CoordinationSession& session_;
  Paths paths_;
  HistoryId history_;
  LogPosition position_;
  std::function<void(const FoundFault&)> onFault_;
  // While there is much to read, gets for the batches from `aheadFirst_` on are sent before they
  // are asked for.
  std::deque<kj::Promise<GetResult>> ahead_;
  BatchNumber aheadFirst_;
  size_t aheadMax_ = 0;
  bool aheadIsFinal_ = false;       // it was asked by who leads: nobody can have written since
  uint64_t stateChanges_ = 0;       // of the session
  uint64_t provenAt_ = UINT64_MAX;  // `stateChanges_` when the position was last proved
  kj::Promise<void> counting_ = nullptr;
};

}  // namespace muster::failover
