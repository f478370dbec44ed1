// What an adapter to a C library with sockets of its own needs from the event loop: level-triggered
// readiness of a descriptor, and a timer. Both are made by EventLoop with their callback.
//
// Callbacks run on the loop. They may call everything here but must not destroy their own watcher
// or timer, and must not throw: an exception ends the process.
#pragma once

#include "base/units.h"

namespace muster {

struct FdEvents {
  bool readable = false;
  bool writable = false;
};

class FdWatcher {
 public:
  virtual ~FdWatcher() noexcept(false) = default;

  // Calls back on every turn of the loop in which `fd` is ready for one of `interest`, until stop()
  // or the next watch(). An error or hang-up counts as all that was asked. `interest` must not be
  // empty. Sets FD_CLOEXEC and O_NONBLOCK on `fd`. The owner of `fd` must call stop() before it
  // closes it: the next descriptor may get the same number.
  virtual void watch(int fd, FdEvents interest) = 0;

  // Harmless when nothing is watched. No callback comes afterwards.
  virtual void stop() = 0;
};

class OneShotTimer {
 public:
  virtual ~OneShotTimer() noexcept(false) = default;

  // Calls back once after `delay` (rounded up to milliseconds); replaces what was started before.
  virtual void start(Duration delay) = 0;
  virtual void stop() = 0;
};

}  // namespace muster
