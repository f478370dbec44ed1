#include "coordinator/watch_hub.h"

#include "base/kj_time.h"

#include <algorithm>
#include <utility>

namespace muster::coordinator {
namespace {

constexpr Duration PAUSE_MIN = 1_ms;
constexpr int64_t SHARE = 10;  // of the time, one part in so many is spent looking
constexpr Duration UNREADABLE_PAUSE = 100_ms;

}  // namespace

WatchHub::WatchHub(Coordinator& coordinator)
    : coordinator_(coordinator),
      feed_(coordinator.environment().timer),
      tasks_("watchers of the state") {}

std::shared_ptr<HttpBodyStream> WatchHub::watch(WatchKinds kinds,
                                                std::optional<WatchPosition> resumeFrom) {
  if (!std::exchange(running_, true)) tasks_.add(runCo().asPromise());
  return feed_.watch(std::move(kinds), std::move(resumeFrom));
}

Co<void> WatchHub::runCo() {
  const auto& env = coordinator_.environment();
  for (;;) {
    SteadyTime began = env.clock.steadyNow();
    bool readable = look();
    Duration cost = env.clock.steadyNow() - began;
    bool committed = readable;
    if (readable) {
      // What a leader's memory holds is published once it is committed, and not at all otherwise.
      auto mayLeave = coordinator_.stateMayLeave().then([] { return true; },
                                                        [](kj::Exception&&) { return false; });
      committed = co_await kj::mv(mayLeave);
    }
    if (committed) feed_.publish(seen_, seenEpoch_, std::move(seenObjects_));
    Duration pause = readable ? std::max(PAUSE_MIN, cost * (SHARE - 1)) : UNREADABLE_PAUSE;
    co_await env.timer.afterDelay(toKj(pause));
    if (committed) co_await coordinator_.committedAfter(feed_.position()->index);
  }
}

// False while this coordinator has no state that can be told.
bool WatchHub::look() {
  if (!coordinator_.hasState() || coordinator_.facts().rebuilding) return false;
  const State& state = coordinator_.state();
  seen_ = {state.history, state.applied};
  seenEpoch_ = state.epoch;
  seenObjects_ = watchedObjects(state);
  return true;
}

}  // namespace muster::coordinator
