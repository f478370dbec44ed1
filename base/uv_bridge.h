// libuv's loop inside kj's. Internal to base/: included by event_loop.cpp, uv_bridge.cpp,
// uv_watchers.cpp and process.cpp only, so that no other header mentions libuv.
#pragma once

#include "base/co.h"
#include "base/fd_watcher.h"

#include <kj/async-unix.h>
#include <kj/function.h>
#include <kj/memory.h>
#include <kj/timer.h>
#include <uv.h>

#include <cstdint>
#include <map>

namespace muster {

// kj polls libuv's epoll descriptor; when it is ready, or libuv's next timer is due, or somebody
// kicked, libuv gets a turn that never blocks.
class UvBridge {
 public:
  UvBridge(kj::UnixEventPort& port, kj::Timer& timer);
  // All handles must have been closed by their owners.
  ~UvBridge() noexcept(false);
  UvBridge(const UvBridge&) = delete;
  UvBridge& operator=(const UvBridge&) = delete;

  uv_loop_t* loop() { return &loop_; }
  uint64_t turns() const { return turns_; }

  // To be called after any uv_* call that was made outside a callback of libuv: else kj goes on
  // sleeping as before.
  void kick();

  // Closes `handle` and keeps its memory until libuv has let go of it.
  template <class Handle>
  void close(kj::Own<Handle> handle) {
    auto base = reinterpret_cast<uv_handle_t*>(handle.get());
    closing_.emplace(base, kj::mv(handle));
    uv_close(base, forget);
    kick();
  }

 private:
  static void forget(uv_handle_t* handle);
  Co<void> run();
  bool turn();  // true: libuv has more to do now
  kj::Promise<void> wakeUp();

  uv_loop_t loop_{};
  kj::Timer& timer_;
  std::map<uv_handle_t*, kj::Own<void>> closing_;  // only looked up, never walked
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> kicker_;
  bool inTurn_ = false;
  uint64_t turns_ = 0;
  kj::Own<kj::UnixEventPort::FdObserver> observer_;
  kj::Promise<void> running_ = nullptr;
};

// Throws when `result` is negative, as libuv's errors are; `what` says what was tried.
void uvCheck(int result, const char* what);

kj::Own<FdWatcher> makeFdWatcher(UvBridge& bridge, kj::Function<void(FdEvents)> callback);
kj::Own<OneShotTimer> makeOneShotTimer(UvBridge& bridge, kj::Function<void()> callback);

}  // namespace muster
