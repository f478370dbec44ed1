// Tells watchers of what changes: one look at the state serves all of them.
#pragma once

#include "base/co.h"
#include "base/http_message.h"
#include "base/tasks.h"
#include "coordinator/coordinator.h"
#include "coordinator/watch_feed.h"

#include <memory>

namespace muster::coordinator {

// Looks at the state while it changes, but never for more than a tenth of the time, so that a large
// state costs watchers patience and not the coordinator its loop. Starts with the first watcher.
class WatchHub {
 public:
  explicit WatchHub(Coordinator& coordinator);
  KJ_DISALLOW_COPY(WatchHub);

  // The events from `resumeFrom` on, or a snapshot first. The hub must outlive the stream.
  std::shared_ptr<HttpBodyStream> watch(WatchKinds kinds, std::optional<WatchPosition> resumeFrom);

 private:
  Co<void> runCo();
  bool look();

  Coordinator& coordinator_;
  WatchFeed feed_;
  WatchPosition seen_;  // of the look that is about to be published
  Epoch seenEpoch_;
  WatchedObjects seenObjects_;
  bool running_ = false;
  Tasks tasks_;
};

}  // namespace muster::coordinator
