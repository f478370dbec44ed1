#include "failover/watch_table.h"

#include <utility>

namespace muster::failover {

WatchTable::Watch& WatchTable::watchOf(const std::string& path) {
  Watch& watch = watches_[path];
  if (watch.number == 0) {
    watch.number = nextNumber_++;
    paths_[watch.number] = path;
  }
  return watch;
}

uint64_t WatchTable::asked(const std::string& path) {
  Watch& watch = watchOf(path);
  watch.callsPending++;
  return watch.number;
}

void WatchTable::answered(const std::string& path) { watchOf(path).callsPending--; }

kj::Promise<void> WatchTable::wait(const std::string& path) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  Waiters& waiters = watchOf(path).waiters;
  std::erase_if(waiters,
                [](auto& waiter) { return !waiter->isWaiting(); });  // dropped by their owners
  waiters.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

void WatchTable::fire(uint64_t number) {
  auto path = paths_.find(number);
  if (path == paths_.end()) return;
  auto watch = watches_.find(path->second);
  Waiters waiters = std::exchange(watch->second.waiters, {});
  bool registersAgain =
      watch->second.callsPending > 0;  // an answer under way brings this number back
  if (!registersAgain) {
    watches_.erase(watch);
    paths_.erase(path);
  }
  for (auto& waiter : waiters) waiter->fulfill();
}

void WatchTable::wakeAll() {
  for (auto& [path, watch] : watches_) {
    for (auto& waiter : std::exchange(watch.waiters, {})) waiter->fulfill();
  }
}

void WatchTable::endAll(const kj::Exception& why) {
  for (auto& [path, watch] : watches_) {
    for (auto& waiter : watch.waiters) waiter->reject(kj::cp(why));
  }
  watches_.clear();
  paths_.clear();
}

}  // namespace muster::failover
