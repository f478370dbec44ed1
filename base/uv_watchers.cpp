// FdWatcher and OneShotTimer over libuv.
#include "base/uv_bridge.h"

#include <kj/debug.h>

#include <algorithm>
#include <fcntl.h>

namespace muster {
namespace {

void prepareDescriptor(int fd) {
  // Some libraries leave this out, and children would then hold the socket open.
  KJ_SYSCALL(fcntl(fd, F_SETFD, FD_CLOEXEC), fd);
  int flags = 0;
  KJ_SYSCALL(flags = fcntl(fd, F_GETFL), fd);
  if ((flags & O_NONBLOCK) != 0) return;
  KJ_SYSCALL(fcntl(fd, F_SETFL, flags | O_NONBLOCK), fd);
}

class UvFdWatcher final : public FdWatcher {
 public:
  UvFdWatcher(UvBridge& bridge, kj::Function<void(FdEvents)> callback)
      : bridge_(bridge), callback_(kj::mv(callback)) {}
  ~UvFdWatcher() noexcept(false) override {
    stop();
    closeHandle();
  }

  void watch(int fd, FdEvents interest) override {
    KJ_REQUIRE(interest.readable || interest.writable, "watch() without interest", fd);
    stop();
    prepareDescriptor(fd);
    if (fd != fd_) openHandle(fd);
    interest_ = interest;
    int events = (interest.readable ? UV_READABLE : 0) | (interest.writable ? UV_WRITABLE : 0);
    uvCheck(uv_poll_start(handle_.get(), events, onEvents), "uv_poll_start");
    bridge_.kick();
  }

  void stop() override {
    // Also takes the descriptor out of epoll, so that its number may be used again.
    if (fd_ >= 0) uv_poll_stop(handle_.get());
  }

 private:
  void openHandle(int fd) {
    closeHandle();
    auto handle = kj::heap<uv_poll_t>();
    uvCheck(uv_poll_init(bridge_.loop(), handle.get(), fd), "uv_poll_init");
    handle->data = this;
    handle_ = kj::mv(handle);
    fd_ = fd;
  }
  void closeHandle() {
    if (fd_ < 0) return;
    fd_ = -1;
    bridge_.close(kj::mv(handle_));
  }

  // noexcept: an exception cannot pass through C code.
  static void onEvents(uv_poll_t* handle, int status, int events) noexcept {
    auto self = static_cast<UvFdWatcher*>(handle->data);
    self->callback_(status < 0
                        ? self->interest_
                        : FdEvents{(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0});
  }

  UvBridge& bridge_;
  kj::Function<void(FdEvents)> callback_;
  kj::Own<uv_poll_t> handle_;
  FdEvents interest_;
  int fd_ = -1;  // of the handle; -1: no handle
};

class UvTimer final : public OneShotTimer {
 public:
  UvTimer(UvBridge& bridge, kj::Function<void()> callback)
      : bridge_(bridge), callback_(kj::mv(callback)), handle_(kj::heap<uv_timer_t>()) {
    uvCheck(uv_timer_init(bridge_.loop(), handle_.get()), "uv_timer_init");
    handle_->data = this;
  }
  ~UvTimer() noexcept(false) override {
    stop();
    bridge_.close(kj::mv(handle_));
  }

  void start(Duration delay) override {
    uv_update_time(bridge_.loop());  // its clock is that of its last turn
    auto milliseconds = std::max<int64_t>(0, (delay.nanos + 999'999) / 1'000'000);
    uvCheck(uv_timer_start(handle_.get(), onDue, static_cast<uint64_t>(milliseconds), 0),
            "uv_timer_start");
    bridge_.kick();
  }
  void stop() override { uv_timer_stop(handle_.get()); }

 private:
  static void onDue(uv_timer_t* handle) noexcept {
    static_cast<UvTimer*>(handle->data)->callback_();
  }

  UvBridge& bridge_;
  kj::Function<void()> callback_;
  kj::Own<uv_timer_t> handle_;
};

}  // namespace

kj::Own<FdWatcher> makeFdWatcher(UvBridge& bridge, kj::Function<void(FdEvents)> callback) {
  return kj::heap<UvFdWatcher>(bridge, kj::mv(callback));
}

kj::Own<OneShotTimer> makeOneShotTimer(UvBridge& bridge, kj::Function<void()> callback) {
  return kj::heap<UvTimer>(bridge, kj::mv(callback));
}

}  // namespace muster
