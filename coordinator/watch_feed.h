// The streams of watchers: a snapshot first or what was missed, then what changes, comments
// between.
#pragma once

#include "base/http_message.h"
#include "base/units.h"
#include "coordinator/watch_log.h"

#include <kj/common.h>
#include <kj/timer.h>

#include <memory>
#include <optional>
#include <set>

namespace muster::coordinator {

class WatchStream;

class WatchFeed {
 public:
  // A watcher that hears nothing for so long is sent a comment.
  static constexpr Duration HEARTBEAT = 15_s;
  // Events that wait for a slow watcher; it is cut off at the next one and resumes. Who has missed
  // as many gets a snapshot in their place.
  static constexpr size_t PENDING_MAX = 256;

  explicit WatchFeed(kj::Timer& timer) : timer_(timer) {}
  KJ_DISALLOW_COPY(WatchFeed);

  // The events from `resumeFrom` on, or a snapshot first; they begin once there is a position. The
  // feed must outlive the stream.
  std::shared_ptr<HttpBodyStream> watch(WatchKinds kinds, std::optional<WatchPosition> resumeFrom);

  // Tells all watchers what is true at `position`. An index that is not above the last one of the
  // same history is ignored; a new history gives everybody a snapshot.
  void publish(const WatchPosition& position, Epoch epoch, WatchedObjects objects);

  const std::optional<WatchPosition>& position() const { return log_.position(); }

 private:
  friend class WatchStream;

  kj::Timer& timer_;
  WatchLog log_;
  std::set<WatchStream*> watchers_;
};

}  // namespace muster::coordinator
