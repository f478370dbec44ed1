#include "tests/sim/world.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace muster::sim {
namespace {

constexpr uint32_t TURNS_MAX = 200'000;   // of one host in one instant; more is a loop without end
constexpr uint32_t EVENTS_MAX = 100'000;  // in one instant, of all hosts together
constexpr SteadyTime NEVER{std::numeric_limits<int64_t>::max()};
constexpr int64_t MILLION = 1'000'000;
constexpr int64_t UNIX_START_MS = 1'900'000'000'000;

uint64_t fnv(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

kj::TimePoint kjTime(SteadyTime time) {
  return kj::origin<kj::TimePoint>() + time.nanos * kj::NANOSECONDS;
}
SteadyTime ourTime(kj::TimePoint time) {
  return {(time - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS};
}

// Never goes back: the rate is far above 0.
SteadyTime drifted(int64_t nanos, int64_t ppm) {
  return {nanos + static_cast<int64_t>(static_cast<__int128>(nanos) * ppm / MILLION)};
}

}  // namespace

std::string toText(SteadyTime time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6fs", static_cast<double>(time.nanos) / 1e9);
  return text;
}

// ---- a host

Host::Host(World& world, std::string name, uint64_t number)
    : world_(world),
      name_(std::move(name)),
      number_(number),
      random_(world.fork("host " + name_).next()) {
  SeededRandom chance = world.fork("clock " + name_);
  clockOffset_ = Duration{static_cast<int64_t>(chance.below(3'600'000'000'000))};
  clockPpm_ = static_cast<int64_t>(chance.below(4'001)) - 2'000;  // far worse than any crystal
}

SteadyTime Host::steadyNow() const { return drifted(world_.now().nanos, clockPpm_) + clockOffset_; }

void Host::setClockRate(int64_t ppm) {
  SteadyTime now = steadyNow();
  clockPpm_ = ppm;
  clockOffset_ = now - drifted(world_.now().nanos, ppm);
}

// The first instant at which our clock shows at least `local`: a timer never fires before its time.
SteadyTime Host::toWorld(SteadyTime local) const {
  int64_t wanted = (local - clockOffset_).nanos;
  auto base = static_cast<int64_t>(static_cast<__int128>(wanted) * MILLION / (MILLION + clockPpm_));
  base -= 2;  // rounding
  while (drifted(base, clockPpm_).nanos < wanted) base++;
  return SteadyTime{base};
}

WallTime Host::wallNow() const {
  return {UNIX_START_MS + world_.now().nanos / MILLION + wallOffset_.millis()};
}

void Host::start(MakeProcess makeProcess) {
  KJ_REQUIRE(!up_, "a host is started once", name_.c_str());
  up_ = true;
  frozen_ = false;
  silent_ = false;
  armed_ = NEVER;
  loop_ = kj::heap<kj::EventLoop>();
  timer_ = kj::heap<kj::TimerImpl>(kjTime(steadyNow()));
  kj::Function<void()> make = [this, &makeProcess] { process_ = makeProcess(); };
  enter(make);
}

void Host::enter(kj::Function<void()>& action) {
  kj::WaitScope scope(*loop_);
  timer_->advanceTo(std::max(kjTime(steadyNow()), timer_->now()));
  action();
  runUntilQuiet();
  armTimer();
}

void Host::runUntilQuiet() {
  loop_->run(TURNS_MAX);
  if (loop_->isRunnable()) {
    world_.violated("no host spins", name_ + " does not come to rest in one instant");
  }
}

void Host::armTimer() {
  KJ_IF_MAYBE (next, timer_->nextEvent()) {
    SteadyTime due = std::max(toWorld(ourTime(*next)), world_.now());
    if (due >= armed_) return;
    armed_ = due;
    world_.at(due, *this, [this, due] {
      if (armed_ == due) armed_ = NEVER;
    });
  }
}

void Host::die(bool silent) {
  if (!up_) return;
  up_ = false;
  frozen_ = false;
  dying_ = true;
  silent_ = silent;
  boot_++;
  parked_.clear();
  {
    kj::WaitScope scope(*loop_);
    process_ = nullptr;
    scope.cancelAllDetached();
    loop_->run(TURNS_MAX);
  }
  timer_ = nullptr;
  loop_ = nullptr;
  dying_ = false;
}

void Host::thaw() {
  if (!frozen_) return;
  frozen_ = false;
  auto parked = std::exchange(parked_, {});
  kj::Function<void()> all = [&parked] {
    for (auto& action : parked) action();
  };
  enter(all);
}

// ---- the world

World::World(uint64_t seed) : seed_(seed) { mix(seed); }

World::~World() noexcept(false) { shutDown(); }

void World::shutDown() {
  for (auto& host : hosts_) host->die(false);
  auto dropped = std::exchange(heap_, {});  // what is dropped may think of new events
  dropped.clear();
  heap_.clear();
}

SeededRandom World::fork(std::string_view tag) const {
  return SeededRandom(SeededRandom(seed_ ^ fnv(tag)).next());
}

Host& World::addHost(std::string name) {
  hosts_.push_back(kj::heap<Host>(*this, std::move(name), hosts_.size() + 1));
  return *hosts_.back();
}

bool World::later(const Event& a, const Event& b) {
  return std::pair(a.when, a.sequence) > std::pair(b.when, b.sequence);
}

void World::push(Event event) {
  event.when = std::max(event.when, now_);
  event.sequence = nextSequence_++;
  heap_.push_back(kj::mv(event));
  std::push_heap(heap_.begin(), heap_.end(), later);
}

World::Event World::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), later);
  Event event = kj::mv(heap_.back());
  heap_.pop_back();
  return event;
}

void World::at(SteadyTime when, kj::Function<void()> action) {
  push({when, 0, nullptr, 0, kj::mv(action)});
}

void World::at(SteadyTime when, Host& host, kj::Function<void()> action) {
  push({when, 0, &host, host.boot(), kj::mv(action)});
}

bool World::step(SteadyTime until) {
  if (violation_) return false;
  if (heap_.empty() || heap_.front().when > until) {
    now_ = std::max(now_, until);
    return false;
  }
  Event event = pop();
  atThisInstant_ = event.when > now_ ? 0 : atThisInstant_ + 1;
  if (atThisInstant_ > EVENTS_MAX) {
    std::string whom = event.host == nullptr ? "the world" : event.host->name();
    violated("no host spins", whom + " is busy, and time stands still");
  }
  now_ = event.when;
  events_++;
  mix(static_cast<uint64_t>(event.when.nanos));
  mix(event.sequence);
  mix(event.host == nullptr ? 0 : event.host->number());
  Host* host = event.host;
  run(kj::mv(event));
  if (onStep_) onStep_(host);
  return !violation_;
}

void World::run(Event event) {
  Host* host = event.host;
  if (host == nullptr) return event.action();
  if (!host->isUp() || host->boot() != event.boot) return;  // meant for a process that is dead
  if (host->isFrozen()) {
    host->parked_.push_back(kj::mv(event.action));
  } else {
    host->enter(event.action);
  }
}

void World::mix(uint64_t value) {
  hash_ = SeededRandom(hash_ ^ (value * 0x9e3779b97f4a7c15ull)).next();
}

void World::mix(std::string_view text) { mix(fnv(text)); }

void World::note(std::string_view text) {
  mix(text);
  if (onNote_) onNote_(toText(now_) + " " + std::string(text));
}

void World::violated(std::string checker, std::string text) {
  if (violation_) return;
  note("VIOLATION of " + checker + ": " + text);
  violation_ = Violation{std::move(checker), std::move(text), now_};
}

}  // namespace muster::sim
