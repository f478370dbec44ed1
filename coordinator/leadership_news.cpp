#include "coordinator/leadership_news.h"

#include "base/kj_time.h"

#include <algorithm>
#include <iterator>

namespace muster::coordinator {

bool LeadershipNews::isNews(const Said& heard, Audience audience) const {
  if (audience == Audience::WORKER && !said_.serving) return false;
  return said_ != heard && said_.epoch >= heard.epoch;
}

// Takes out who is to be told, and who does not wait any more.
LeadershipNews::Waiters LeadershipNews::takeTold(Waiters& waiting, Audience audience) const {
  std::erase_if(waiting, [](Waiter& waiter) { return !waiter.fulfiller->isWaiting(); });
  auto told = std::partition(waiting.begin(), waiting.end(),
                             [&](const Waiter& waiter) { return !isNews(waiter.heard, audience); });
  Waiters taken(std::make_move_iterator(told), std::make_move_iterator(waiting.end()));
  waiting.erase(told, waiting.end());
  return taken;
}

void LeadershipNews::note(Said said) {
  if (said == said_) return;
  said_ = said;
  for (Waiter& waiter : takeTold(clients_, Audience::CLIENT)) waiter.fulfiller->fulfill();
  for (Waiter& waiter : takeTold(workers_, Audience::WORKER)) due_.push_back(std::move(waiter));
  if (!due_.empty() && !telling_) {
    telling_ = true;
    tellSlice();
  }
}

void LeadershipNews::tellSlice() {
  for (size_t told = 0; told < WORKERS_AT_ONCE && !due_.empty(); told++) {
    due_.front().fulfiller->fulfill();
    due_.pop_front();
  }
  if (due_.empty()) {
    telling_ = false;
    return;
  }
  tasks_.add(timer_.afterDelay(toKj(BETWEEN_SLICES)).then([this] { tellSlice(); }));
}

kj::Promise<void> LeadershipNews::after(Said heard, Audience audience) {
  if (isNews(heard, audience)) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  auto& waiting = audience == Audience::WORKER ? workers_ : clients_;
  // Who has hung up is forgotten here and there, at a cost that is shared by all.
  if (waiting.size() == waiting.capacity()) {
    std::erase_if(waiting, [](Waiter& waiter) { return !waiter.fulfiller->isWaiting(); });
  }
  waiting.push_back({heard, kj::mv(paf.fulfiller)});
  return kj::mv(paf.promise);
}

}  // namespace muster::coordinator
