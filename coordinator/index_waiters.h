// Who waits for the log to go on, whatever this coordinator is at the time.
#pragma once

#include "base/ids.h"

#include <kj/async.h>

#include <map>

namespace muster::coordinator {

class IndexWaiters {
 public:
  // Resolves when an index above `after` has been noted.
  kj::Promise<void> after(LogIndex after) {
    if (newest_ > after) return kj::READY_NOW;
    auto waiter = kj::newPromiseAndFulfiller<void>();
    waiters_.emplace(after, kj::mv(waiter.fulfiller));
    return kj::mv(waiter.promise);
  }

  void note(LogIndex index) {
    newest_ = index;
    while (!waiters_.empty() && waiters_.begin()->first < index) {
      waiters_.begin()->second->fulfill();
      waiters_.erase(waiters_.begin());
    }
    // Who has given up keeps a fulfiller here until the index comes; sweep them when they pile up.
    if (waiters_.size() > SWEEP_ABOVE) {
      for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
        waiter = waiter->second->isWaiting() ? std::next(waiter) : waiters_.erase(waiter);
      }
    }
  }

 private:
  static constexpr size_t SWEEP_ABOVE = 1024;
  LogIndex newest_;
  std::multimap<LogIndex, kj::Own<kj::PromiseFulfiller<void>>> waiters_;
};

}  // namespace muster::coordinator
