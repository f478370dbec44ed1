#include "coordinator/watch_feed.h"

#include "base/kj_time.h"

#include <kj/async.h>

#include <deque>
#include <string>
#include <utility>

namespace muster::coordinator {

// The events of one watcher, in order.
class WatchStream final : public HttpBodyStream {
 public:
  WatchStream(WatchFeed& feed, WatchKinds kinds, std::optional<WatchPosition> resumeFrom)
      : feed_(feed), kinds_(std::move(kinds)), resumeFrom_(std::move(resumeFrom)) {
    feed_.watchers_.insert(this);
  }
  ~WatchStream() noexcept(false) override { feed_.watchers_.erase(this); }
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
    auto heartbeat = feed_.timer_.afterDelay(toKj(WatchFeed::HEARTBEAT)).then([] {
      return std::optional<std::string>(": heartbeat\n\n");
    });
    return news.promise.then([this] { return next(); }).exclusiveJoin(kj::mv(heartbeat));
  }

  // Once there is something to begin with.
  void begin(const WatchLog& log) {
    if (begun_) return;
    begun_ = true;
    auto missed = resumeFrom_ ? log.since(*resumeFrom_, kinds_) : std::nullopt;
    // Too much to wait for a watcher: it would be cut off, and again whenever it resumes.
    if (!missed || missed->size() >= WatchFeed::PENDING_MAX) return add(log.snapshot(kinds_));
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
    cutOff_ = pending_.size() >= WatchFeed::PENDING_MAX;
    if (cutOff_) pending_.clear();
    if (!cutOff_) pending_.push_back(std::move(event));
    if (news_.get() != nullptr) news_->fulfill();
  }

  WatchFeed& feed_;
  WatchKinds kinds_;
  std::optional<WatchPosition> resumeFrom_;
  bool begun_ = false;
  bool cutOff_ = false;
  std::deque<std::string> pending_;
  kj::Own<kj::PromiseFulfiller<void>> news_;
};

std::shared_ptr<HttpBodyStream> WatchFeed::watch(WatchKinds kinds,
                                                 std::optional<WatchPosition> resumeFrom) {
  auto stream = std::make_shared<WatchStream>(*this, std::move(kinds), std::move(resumeFrom));
  if (log_.position()) stream->begin(log_);
  return stream;
}

void WatchFeed::publish(const WatchPosition& position, Epoch epoch, WatchedObjects objects) {
  bool isNewHistory = log_.position() && log_.position()->history != position.history;
  const WatchChange* change = log_.take(position, epoch, std::move(objects));
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
