// Tells watchers of what changes: one look at the state serves all of them.
#pragma once

#include "base/co.h"
#include "base/http_message.h"
#include "base/tasks.h"
#include "coordinator/coordinator.h"
#include "coordinator/watch_log.h"

#include <kj/async.h>

#include <deque>
#include <memory>
#include <set>

namespace muster::coordinator {

class WatchStream;

// Looks at the state while it changes, but never for more than a tenth of the time, so that a large
// state costs watchers patience and not the coordinator its loop. Starts with the first watcher.
class WatchHub {
 public:
  // A watcher that hears nothing for so long is sent a comment.
  static constexpr Duration HEARTBEAT = 15_s;
  // Events that wait for a slow watcher; it is cut off at the next one and resumes.
  static constexpr size_t PENDING_MAX = 256;

  explicit WatchHub(Coordinator& coordinator);
  KJ_DISALLOW_COPY(WatchHub);

  // The events from `resumeFrom` on, or a snapshot first. The hub must outlive the stream.
  std::shared_ptr<HttpBodyStream> watch(WatchKinds kinds, std::optional<WatchPosition> resumeFrom);

 private:
  friend class WatchStream;

  Co<void> runCo();
  bool look();
  void publish();

  Coordinator& coordinator_;
  WatchLog log_;
  std::set<WatchStream*> watchers_;
  WatchPosition seen_;  // of the look that is about to be published
  Epoch seenEpoch_;
  WatchedObjects seenObjects_;
  bool running_ = false;
  Tasks tasks_;
};

}  // namespace muster::coordinator
