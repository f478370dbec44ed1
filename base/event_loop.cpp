#include "base/event_loop.h"

#include "base/uv_bridge.h"

#include <kj/debug.h>

#include <signal.h>

namespace muster {
namespace {

// By default kj looks for input only when its queue is empty, so a busy queue would starve sockets
// and timers.
constexpr uint32_t EVENTS_BETWEEN_POLLS = 64;

kj::AsyncIoContext setUp(TerminationSignals signals) {
  if (signals == TerminationSignals::CAPTURE) {
    kj::UnixEventPort::captureSignal(SIGTERM);
    kj::UnixEventPort::captureSignal(SIGINT);
  }
  return kj::setupAsyncIo();
}

}  // namespace

EventLoop::EventLoop(TerminationSignals signals)
    : io_(setUp(signals)),
      signals_(signals),
      bridge_(kj::heap<UvBridge>(io_.unixEventPort, io_.provider->getTimer())) {
  io_.waitScope.setBusyPollInterval(EVENTS_BETWEEN_POLLS);
}

EventLoop::~EventLoop() noexcept(false) = default;

kj::Promise<int> EventLoop::onTermination() {
  KJ_REQUIRE(signals_ == TerminationSignals::CAPTURE, "termination signals were not captured");
  auto number = [](siginfo_t&& info) { return info.si_signo; };
  return eventPort().onSignal(SIGTERM).then(number).exclusiveJoin(
      eventPort().onSignal(SIGINT).then(number));
}

kj::Own<FdWatcher> EventLoop::newFdWatcher(kj::Function<void(FdEvents)> callback) {
  return makeFdWatcher(*bridge_, kj::mv(callback));
}
kj::Own<OneShotTimer> EventLoop::newOneShotTimer(kj::Function<void()> callback) {
  return makeOneShotTimer(*bridge_, kj::mv(callback));
}
uint64_t EventLoop::innerTurns() const { return bridge_->turns(); }

}  // namespace muster
