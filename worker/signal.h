// "Something changed, look again": any number of waiters on one loop, told all at once.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace muster::worker {

class Signal {
 public:
  // Resolves at the next fire(). What happened before is in count().
  kj::Promise<void> next() {
    std::erase_if(waiting_, [](auto& waiter) { return !waiter->isWaiting(); });
    auto made = kj::newPromiseAndFulfiller<void>();
    waiting_.push_back(kj::mv(made.fulfiller));
    return kj::mv(made.promise);
  }
  void fire() {
    count_++;
    for (auto& waiter : std::exchange(waiting_, {})) waiter->fulfill();
  }
  // How often it was fired: who was busy meanwhile compares.
  uint64_t count() const { return count_; }

 private:
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  uint64_t count_ = 0;
};

}  // namespace muster::worker
