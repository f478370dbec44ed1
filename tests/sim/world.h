// Virtual time and virtual machines: everything that happens is an event in one heap, and one seed
// decides it all.
//
// Each host has a kj::EventLoop of its own, entered one at a time and run until it is quiet. So a
// crash, a freeze or a slow clock concerns one host only, and a promise that leaks from one host to
// another is found at once: kj refuses to arm an event of a loop that is not current.
#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <kj/async.h>
#include <kj/function.h>
#include <kj/memory.h>
#include <kj/timer.h>

#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sim {

class World;

// What runs on a host. Destroying it is its death.
class Process {
 public:
  virtual ~Process() noexcept(false) = default;
};

// One simulated machine with one process. Its steady clock has an offset and a rate of its own and
// goes on through crashes of the process.
class Host final : public Clock {
 public:
  using MakeProcess = std::function<kj::Own<Process>()>;

  Host(World& world, std::string name, uint64_t number);
  KJ_DISALLOW_COPY(Host);

  const std::string& name() const { return name_; }
  uint64_t number() const { return number_; }
  World& world() { return world_; }
  bool isUp() const { return up_; }
  bool isFrozen() const { return frozen_; }
  // While its process is destroyed: nothing it does may reach anybody as an orderly farewell.
  bool isDying() const { return dying_; }
  // Without power: not even the kernel says goodbye to its peers.
  bool isSilent() const { return silent_; }
  uint32_t boot() const { return boot_; }

  // Of the running process.
  kj::Timer& timer() { return *timer_; }
  Random& random() { return random_; }

  SteadyTime steadyNow() const override;
  WallTime wallNow() const override;
  void jumpWallClock(Duration by) { wallOffset_ = wallOffset_ + by; }
  // The steady clock goes on from where it is, faster by `ppm` than the world's time.
  void setClockRate(int64_t ppm);

  // All of the following are for the world's own events, never from inside a host.
  void start(MakeProcess makeProcess);
  void crash() { die(false); }
  void losePower() { die(true); }
  void freeze() { frozen_ = true; }
  // Everything that came meanwhile comes at once, as after SIGCONT.
  void thaw();
  // Runs `action` on this host's loop until nothing is ready there.
  void enter(kj::Function<void()>& action);

 private:
  friend class World;
  void die(bool silent);
  void armTimer();
  SteadyTime toWorld(SteadyTime local) const;
  void runUntilQuiet();

  World& world_;
  std::string name_;
  uint64_t number_;
  Duration clockOffset_;
  int64_t clockPpm_ = 0;
  Duration wallOffset_;
  SeededRandom random_;
  uint32_t boot_ = 0;
  bool up_ = false;
  bool frozen_ = false;
  bool dying_ = false;
  bool silent_ = false;
  SteadyTime armed_{std::numeric_limits<int64_t>::max()};
  std::deque<kj::Function<void()>> parked_;
  kj::Own<kj::EventLoop> loop_;
  kj::Own<kj::TimerImpl> timer_;
  kj::Own<Process> process_;
};

// What a checker found: the first one ends the run.
struct Violation {
  std::string checker;
  std::string text;
  SteadyTime when;
};

class World {
 public:
  explicit World(uint64_t seed);
  ~World() noexcept(false);
  KJ_DISALLOW_COPY(World);

  SteadyTime now() const { return now_; }
  uint64_t seed() const { return seed_; }
  uint64_t events() const { return events_; }
  // A stream of chance for one purpose, so that a new draw in one part does not shift the others.
  SeededRandom fork(std::string_view tag) const;

  Host& addHost(std::string name);

  // The world's own event.
  void at(SteadyTime when, kj::Function<void()> action);
  void after(Duration delay, kj::Function<void()> action) { at(now_ + delay, kj::mv(action)); }
  // An event inside a host: parked while it is frozen, dropped when this boot of it is over.
  void at(SteadyTime when, Host& host, kj::Function<void()> action);

  // Runs the next event; false when it lies after `until` (then now() is `until`) or a checker has
  // found something.
  bool step(SteadyTime until);
  // Called after each event; `host` is the one that ran, if any.
  void onStep(std::function<void(Host* host)> handler) { onStep_ = kj::mv(handler); }
  // Crashes every host and drops what was still to happen.
  void shutDown();

  // The trace hash covers every event, and what is mixed in here.
  void mix(uint64_t value);
  void mix(std::string_view text);
  uint64_t traceHash() const { return hash_; }
  // For people who replay a seed; part of the trace hash.
  void note(std::string_view text);
  void onNote(std::function<void(std::string_view line)> handler) { onNote_ = kj::mv(handler); }

  // Keeps the first one.
  void violated(std::string checker, std::string text);
  const std::optional<Violation>& violation() const { return violation_; }

 private:
  struct Event {
    SteadyTime when;
    uint64_t sequence = 0;
    Host* host = nullptr;
    uint32_t boot = 0;
    kj::Function<void()> action;
  };
  static bool later(const Event& a, const Event& b);
  void push(Event event);
  Event pop();
  void run(Event event);

  uint64_t seed_;
  SteadyTime now_{1'000'000'000};
  uint64_t events_ = 0;
  uint64_t nextSequence_ = 1;
  uint32_t atThisInstant_ = 0;
  uint64_t hash_ = 0xcbf29ce484222325ull;
  std::vector<kj::Own<Host>> hosts_;
  std::vector<Event> heap_;
  std::function<void(Host*)> onStep_;
  std::function<void(std::string_view)> onNote_;
  std::optional<Violation> violation_;
};

std::string toText(SteadyTime time);  // "12.345678s"

}  // namespace muster::sim
