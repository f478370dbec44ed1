#include "base/uv_bridge.h"

#include <kj/debug.h>

#include <poll.h>

namespace muster {
namespace {

kj::Own<kj::UnixEventPort::FdObserver> observe(kj::UnixEventPort& port, uv_loop_t& loop) {
  uvCheck(uv_loop_init(&loop), "uv_loop_init");
  return kj::heap<kj::UnixEventPort::FdObserver>(port, uv_backend_fd(&loop),
                                                 kj::UnixEventPort::FdObserver::OBSERVE_READ);
}

}  // namespace

void uvCheck(int result, const char* what) {
  KJ_REQUIRE(result >= 0, what, uv_err_name(result), uv_strerror(result));
}

UvBridge::UvBridge(kj::UnixEventPort& port, kj::Timer& timer)
    : timer_(timer), observer_(observe(port, loop_)) {
  loop_.data = this;
  running_ = run().asPromise().eagerlyEvaluate([](kj::Exception&& exception) {
    KJ_LOG(FATAL, "the inner event loop failed", exception);
    std::terminate();
  });
}

UvBridge::~UvBridge() noexcept(false) {
  running_ = nullptr;
  observer_ = nullptr;
  // Handles are freed by libuv's close callbacks, which need turns of the loop.
  while (!closing_.empty() && uv_run(&loop_, UV_RUN_ONCE) != 0) {
  }
  int result = uv_loop_close(&loop_);
  if (result < 0) KJ_LOG(ERROR, "handles outlive the event loop", uv_err_name(result));
}

void UvBridge::kick() {
  if (inTurn_) return;
  KJ_IF_MAYBE (kicker, kicker_) {
    (*kicker)->fulfill();
  }
}

void UvBridge::forget(uv_handle_t* handle) {
  static_cast<UvBridge*>(handle->loop->data)->closing_.erase(handle);
}

Co<void> UvBridge::run() {
  for (;;) {
    if (turn()) {
      // Not evalLater: only a timer lets kj look for input in between.
      co_await timer_.afterDelay(0 * kj::NANOSECONDS);
    } else {
      co_await wakeUp();
    }
  }
}

bool UvBridge::turn() {
  inTurn_ = true;
  KJ_DEFER(inTurn_ = false);
  turns_++;
  uv_run(&loop_, UV_RUN_NOWAIT);
  if (!uv_loop_alive(&loop_)) return false;  // nothing to wait for; uv_backend_timeout would say 0
  if (uv_backend_timeout(&loop_) == 0) return true;
  // kj's observer is edge-triggered: a descriptor inside that stays ready gives no second edge.
  pollfd inner{uv_backend_fd(&loop_), POLLIN, 0};
  return ::poll(&inner, 1, 0) > 0;
}

kj::Promise<void> UvBridge::wakeUp() {
  auto kicked = kj::newPromiseAndFulfiller<void>();
  kicker_ = kj::mv(kicked.fulfiller);
  auto wake = observer_->whenBecomesReadable().exclusiveJoin(kj::mv(kicked.promise));
  int timeoutMs = uv_loop_alive(&loop_) ? uv_backend_timeout(&loop_) : -1;
  if (timeoutMs < 0) return wake;
  return wake.exclusiveJoin(timer_.afterDelay(timeoutMs * kj::MILLISECONDS));
}

}  // namespace muster
