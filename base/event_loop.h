// The one event loop of a process: kj outside, and inside it the loop of the library that starts
// children and polls foreign sockets. Everything of a process hangs on it and must be destroyed
// before it.
#pragma once

#include "base/fd_watcher.h"

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/function.h>

#include <cstdint>

namespace muster {

class UvBridge;

enum class TerminationSignals {
  LEAVE,    // SIGTERM and SIGINT keep their meaning
  CAPTURE,  // they are blocked and only come through onTermination()
};

class EventLoop {
 public:
  // Blocks captured signals in the calling thread: create it before any other thread, so that they
  // inherit this.
  explicit EventLoop(TerminationSignals signals = TerminationSignals::LEAVE);
  ~EventLoop() noexcept(false);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  kj::WaitScope& waitScope() { return io_.waitScope; }
  kj::Timer& timer() { return io_.provider->getTimer(); }
  kj::Network& network() { return io_.provider->getNetwork(); }
  kj::AsyncIoProvider& ioProvider() { return *io_.provider; }
  kj::LowLevelAsyncIoProvider& lowLevelProvider() { return *io_.lowLevelProvider; }
  kj::UnixEventPort& eventPort() { return io_.unixEventPort; }

  // The number of SIGTERM or SIGINT, whichever comes first. Only with TerminationSignals::CAPTURE,
  // one waiter at a time.
  kj::Promise<int> onTermination();

  kj::Own<FdWatcher> newFdWatcher(kj::Function<void(FdEvents)> callback);
  kj::Own<OneShotTimer> newOneShotTimer(kj::Function<void()> callback);

  // Turns of the inner loop so far; an idle loop makes none.
  uint64_t innerTurns() const;
  // For process.cpp only.
  UvBridge& bridge() { return *bridge_; }

 private:
  kj::AsyncIoContext io_;
  TerminationSignals signals_;
  kj::Own<UvBridge> bridge_;
};

}  // namespace muster
