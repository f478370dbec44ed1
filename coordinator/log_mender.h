// Asks ZooKeeper and the peers what they hold of the log, and writes again what ZooKeeper lost. The
// rules are in failover/log_repair.h. Only the elected writes, before it leads and while it leads;
// everything it writes is fenced by its epoch.
#pragma once

#include "base/co.h"
#include "base/log.h"
#include "coordinator/death_watch.h"
#include "coordinator/state_store.h"
#include "failover/log_repair.h"

#include <kj/async.h>

#include <utility>

namespace muster::coordinator {

class LogMender {
 public:
  struct Parts {
    failover::CoordinationSession& session;
    failover::Paths paths;
    HistoryId history;
    StateStore& store;
    DeathWatch& peers;
    kj::Timer& timer;
    Logger logger;
  };
  explicit LogMender(Parts parts) : parts_(kj::mv(parts)) {}
  KJ_DISALLOW_COPY(LogMender);

  // By what the peers said last; asks nobody. For who has just read the log to its end.
  failover::LossJudgement judge() const;
  // Asks the peers and reads the log's end: for who misses in the log what it has applied.
  kj::Promise<failover::LossJudgement> compare() { return compareCo(); }
  // For the elected, once it has judged: what peers claim beyond the log's end is a loss only if no
  // later leader has committed it. True while the epoch of version `epochVersion` is the newest.
  kj::Promise<bool> isStillElected(int32_t epochVersion) { return isStillElectedCo(epochVersion); }
  // Batches behind ours that `source` has committed, verified; none when they cannot be had.
  kj::Promise<std::vector<ByteString>> fetch(CoordinatorId source) {
    return fetchCo(std::move(source));
  }
  // Writes what compare() found missing, same bytes and names, under the epoch of version
  // `epochVersion`. False when some of it could not be written.
  kj::Promise<bool> rewrite(int32_t epochVersion) { return rewriteCo(epochVersion); }
  // Writes the record behind `before`, which is damaged or missing, from bytes that we or a peer
  // have verified. False when nobody has it, or it could not be written.
  kj::Promise<bool> mend(LogPosition before, int32_t epochVersion) {
    return mendCo(before, epochVersion);
  }
  // For a leader: compares a record with the bytes kept here and writes it again if it differs, or
  // is missing behind one that is there. True when it was written.
  kj::Promise<bool> look(BatchNumber number, int32_t epochVersion) {
    return lookCo(number, epochVersion);
  }

 private:
  Co<failover::LossJudgement> compareCo();
  Co<bool> isStillElectedCo(int32_t epochVersion);
  Co<std::vector<ByteString>> fetchCo(CoordinatorId source);
  Co<bool> rewriteCo(int32_t epochVersion);
  Co<bool> mendCo(LogPosition before, int32_t epochVersion);
  Co<bool> lookCo(BatchNumber number, int32_t epochVersion);
  Co<failover::LogEnd> readEnd();
  Co<bool> write(BatchNumber number, ByteString bytes, int32_t epochVersion);
  LogPosition own() const;
  failover::HeldBytes held() const;

  Parts parts_;
};

}  // namespace muster::coordinator
