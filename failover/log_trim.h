// The leader's part in snapshots: makes a finished one the current one, removes the older ones and
// the log before it. Everything it writes is fenced by the epoch.
#pragma once

#include "base/co.h"
#include "base/log.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "failover/snapshot_format.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <functional>
#include <string>
#include <vector>

namespace muster::failover {

class LogTrimmer {
 public:
  // All or none, together with a check of the leader's epoch; rejected with DISCONNECTED when the
  // leadership is over.
  using Fenced = std::function<kj::Promise<MultiResult>(std::vector<Op>)>;
  struct Parts {
    CoordinationSession& session;  // the leader's
    kj::Timer& timer;
    Paths paths;
    HistoryId history;
    Fenced fenced;
    Logger& logger;
    uint64_t keptBatches = 1000;  // before the current snapshot
    std::function<void(const SnapshotManifest&)> onCurrent = {};
  };
  explicit LogTrimmer(Parts parts) : parts_(std::move(parts)) {}
  KJ_DISALLOW_COPY(LogTrimmer);

  // Never resolves. Rejected with DISCONNECTED when the session or the leadership ends.
  kj::Promise<void> run() { return runCo(); }

 private:
  // What snapshot/current says.
  struct Current {
    int32_t version = -1;  // of the znode; -1: there is none
    LogPosition position;  // zero also when its bytes are damaged: the next one replaces it
  };

  Co<void> runCo();
  Co<void> look();
  Co<Current> current();
  Co<void> adopt(LogIndex index, int32_t currentVersion);
  kj::Maybe<SnapshotManifest> decoded(const GetResult& got, const std::string& path) const;
  Co<bool> isOfThisLog(SnapshotManifest manifest);
  Co<void> removeOlder(LogIndex current);
  Co<void> removeFolder(LogIndex index);
  Co<void> trim(BatchNumber current);
  Co<bool> removeAll(std::vector<std::string> paths);
  Co<std::vector<std::string>> namesIn(std::string path);

  Parts parts_;
  BatchNumber trimmed_;  // the log was seen trimmed for the snapshot of this batch
};

}  // namespace muster::failover
