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

// The events of one watcher, in order.
class WatchStream final : public HttpBodyStream {
 public:
  WatchStream(WatchHub& hub, WatchKinds kinds, std::optional<WatchPosition> resumeFrom)
      : hub_(hub), kinds_(std::move(kinds)), resumeFrom_(std::move(resumeFrom)) {
    hub_.watchers_.insert(this);
  }
  ~WatchStream() noexcept(false) override { hub_.watchers_.erase(this); }
  KJ_DISALLOW_COPY(WatchStream);

  kj::Promise<std::optional<std::string>> next() override {
    if (!pending_.empty()) {
      std::string event = std::move(pending_.front());
      pending_.pop_front();
      return std::optional(std::move(event));
    }
    if (cutOff_) return std::optional<std::string>();
    auto news = kj::newPromiseAndFulfiller<void>();
    news_ = kj::mv(news.fulfiller);
    auto& timer = hub_.coordinator_.environment().timer;
    auto heartbeat = timer.afterDelay(toKj(WatchHub::HEARTBEAT)).then([] {
      return std::optional<std::string>(": heartbeat\n\n");
    });
    return news.promise.then([this] { return next(); }).exclusiveJoin(kj::mv(heartbeat));
  }

  // Once there is something to begin with.
  void begin(const WatchLog& log) {
    if (begun_) return;
    begun_ = true;
    auto missed = resumeFrom_ ? log.since(*resumeFrom_, kinds_) : std::nullopt;
    if (!missed) return add(log.snapshot(kinds_));
    // Tells the watcher that it is connected, and where, though nothing has happened.
    add(": resumed at " + toText(*log.position()) + "\n\n");
    for (auto& event : *missed) add(std::move(event));
  }
  void restart(const WatchLog& log) {
    resumeFrom_.reset();
    begun_ = false;
    begin(log);
  }
  void add(const WatchChange& change) {
    std::string event = eventText(change, kinds_);
    if (!event.empty()) add(std::move(event));
  }
  bool hasBegun() const { return begun_; }

 private:
  void add(std::string event) {
    if (cutOff_) return;
    cutOff_ = pending_.size() >= WatchHub::PENDING_MAX;
    if (cutOff_) pending_.clear();
    if (!cutOff_) pending_.push_back(std::move(event));
    if (news_.get() != nullptr) news_->fulfill();
  }

  WatchHub& hub_;
  WatchKinds kinds_;
  std::optional<WatchPosition> resumeFrom_;
  bool begun_ = false;
  bool cutOff_ = false;
  std::deque<std::string> pending_;
  kj::Own<kj::PromiseFulfiller<void>> news_;
};

WatchHub::WatchHub(Coordinator& coordinator)
    : coordinator_(coordinator), tasks_("watchers of the state") {}

std::shared_ptr<HttpBodyStream> WatchHub::watch(WatchKinds kinds,
                                                std::optional<WatchPosition> resumeFrom) {
  auto stream = std::make_shared<WatchStream>(*this, std::move(kinds), std::move(resumeFrom));
  if (!std::exchange(running_, true)) {
    tasks_.add(runCo().asPromise());
  } else if (log_.position()) {
    stream->begin(log_);
  }
  return stream;
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
    if (committed) publish();
    Duration pause = readable ? std::max(PAUSE_MIN, cost * (SHARE - 1)) : UNREADABLE_PAUSE;
    co_await env.timer.afterDelay(toKj(pause));
    if (committed) co_await coordinator_.committedAfter(log_.position()->index);
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

void WatchHub::publish() {
  bool isNewHistory = log_.position() && log_.position()->history != seen_.history;
  const WatchChange* change = log_.take(seen_, seenEpoch_, std::move(seenObjects_));
  for (WatchStream* watcher : watchers_) {
    if (isNewHistory) {
      watcher->restart(log_);
    } else if (!watcher->hasBegun()) {
      watcher->begin(log_);
    } else if (change != nullptr) {
      watcher->add(*change);
    }
  }
}

}  // namespace muster::coordinator
