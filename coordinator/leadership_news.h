// Who waits to hear that this coordinator says something else about the leadership: a push on a
// connection that is there already. Clients hear everything at once; workers, of whom there may be
// thousands, that this coordinator has begun to serve, in slices, so that a new leader is not busy
// with telling and not all of them answer in one moment.
#pragma once

#include "base/ids.h"
#include "base/tasks.h"
#include "base/units.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <deque>
#include <vector>

namespace muster::coordinator {

enum class Audience { CLIENT, WORKER };

class LeadershipNews {
 public:
  struct Said {
    Epoch epoch;
    bool serving = false;  // this coordinator, in that epoch
    bool operator==(const Said&) const = default;
  };
  static constexpr size_t WORKERS_AT_ONCE = 32;
  static constexpr Duration BETWEEN_SLICES = 2_ms;

  // The timer is borrowed.
  explicit LeadershipNews(kj::Timer& timer) : timer_(timer), tasks_("news of the leadership") {}
  KJ_DISALLOW_COPY(LeadershipNews);

  // What is said from now on.
  void note(Said said);
  // Resolves when something is said that who heard `heard` does not know, to a worker when this
  // coordinator serves: who leads elsewhere tells it itself. What it has heard from a higher epoch
  // is no news.
  kj::Promise<void> after(Said heard, Audience audience);

 private:
  struct Waiter {
    Said heard;
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
  };
  using Waiters = std::vector<Waiter>;

  bool isNews(const Said& heard, Audience audience) const;
  Waiters takeTold(Waiters& waiting, Audience audience) const;
  void tellSlice();

  kj::Timer& timer_;
  Said said_;
  Waiters clients_;
  Waiters workers_;
  std::deque<Waiter> due_;  // workers whose slice comes
  bool telling_ = false;
  Tasks tasks_;
};

}  // namespace muster::coordinator
