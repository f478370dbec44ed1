// A thousand worlds in which replicas fail, come back, go and are replaced while requests come in.
// The pure parts decide; the world says what becomes of each attempt.
#include "gateway/dispatcher.h"
#include "tests/gateway/route_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace muster::gateway::fault_schedules_test {
namespace {

constexpr int SCHEDULES = 1000;
constexpr int STEPS = 300;
constexpr OutlierRules RULES{.failures = 3, .ejection = 1_s, .ejectionMax = 8_s};

// How a replica is, really.
enum class Health { WELL, GONE, RESETS, HANGS, BUSY, BREAKS };

struct Attempt {
  Lease lease;
  uint32_t retries = 0;
};

class World {
 public:
  explicit World(uint64_t seed)
      : random_(seed),
        dispatcher_(static_cast<Balance>(random_.below(BALANCE_TEXTS.size())), RULES, random_) {
    count_ = 2 + random_.below(4);
    for (uint32_t i = 0; i < count_; ++i) routes_.push_back(route("chat", i));
    publish();
  }

  void step() {
    now_ = now_ + Duration{static_cast<int64_t>(random_.below(400'000'000))};
    switch (random_.below(10)) {
      case 0:
        return changeHealth();
      case 1:
        return changeRoutes();
      case 2:
      case 3:
        return endOne();
      default:
        return begin();
    }
  }

  // Everything is well from now on; what is under way ends, and time passes.
  void settle() {
    for (auto& [id, health] : health_) health = Health::WELL;
    for (auto& one : routes_) one.state = "Ready";
    publish();
    while (!running_.empty()) endOne();
    now_ = now_ + RULES.ejectionMax;
  }

  void check() {
    uint32_t leased = 0;
    for (const auto& backend : dispatcher_.backends()) {
      uint32_t ours = 0;
      for (const auto& attempt : running_) ours += &attempt.lease.backend() == backend.get();
      ASSERT_EQ(backend->outstanding, ours) << backend->route->id;
      leased += ours;
    }
    ASSERT_LE(leased, running_.size());
  }

  // After settle(): every routed replica is used again, and none fails.
  void expectAllServe() {
    std::set<std::string> served;
    for (int i = 0; i < 400; ++i) {
      auto chosen = dispatcher_.choose({"chat", random_.next()}, now_);
      ASSERT_TRUE(std::holds_alternative<Lease>(chosen));
      auto& lease = std::get<Lease>(chosen);
      served.insert(lease.route().id);
      dispatcher_.succeeded(lease.backend());
    }
    for (const auto& one : routes_) {
      if (one.takesRequests()) {
        EXPECT_TRUE(served.contains(one.id)) << one.id;
      }
    }
  }

  uint64_t failedThoughOneWasWell() const { return failedThoughOneWasWell_; }

 private:
  Health healthOf(const std::string& id) const {
    auto found = health_.find(id);
    return found == health_.end() ? Health::WELL : found->second;
  }

  void publish() { dispatcher_.update(tableOf(routes_, ++index_)); }

  void changeHealth() {
    auto& one = routes_[random_.below(routes_.size())];
    health_[one.id] = static_cast<Health>(random_.below(6));
  }

  void changeRoutes() {
    Route& one = routes_[random_.below(routes_.size())];
    switch (random_.below(4)) {
      case 0:
        one.state = one.state == "Ready" ? "Loading" : "Ready";
        break;
      case 1:
        one.generation++;
        break;
      case 2:
        one.state = "Unreachable";
        break;
      default:
        one.state = "Ready";
    }
    publish();
  }

  bool isUsable(const std::string& id) const {
    return std::ranges::any_of(
        routes_, [&](const Route& one) { return one.id == id && one.takesRequests(); });
  }

  void begin() { send(0, nullptr); }

  void send(uint32_t retries, const Backend* avoid) {
    ASSERT_LE(retries, 1u) << "a third replica is tried";
    auto chosen = dispatcher_.choose({"chat", random_.next(), avoid}, now_);
    if (!std::holds_alternative<Lease>(chosen)) {
      for (const auto& one : routes_) EXPECT_FALSE(one.takesRequests());
      return;
    }
    auto& lease = std::get<Lease>(chosen);
    EXPECT_TRUE(isUsable(lease.route().id)) << "sent to what takes no requests";
    bool hasWell = std::ranges::any_of(dispatcher_.backends(), [&](const BackendPointer& one) {
      return one->route->takesRequests() && !one->outlier.isEjected(now_) && one.get() != avoid;
    });
    if (hasWell) {
      EXPECT_FALSE(lease.backend().outlier.isEjected(now_)) << "an outlier is preferred";
      EXPECT_NE(&lease.backend(), avoid) << "retried where it failed";
    }
    running_.push_back(Attempt{std::move(lease), retries});
  }

  void endOne() {
    if (running_.empty()) return;
    auto place =
        std::next(running_.begin(), static_cast<ptrdiff_t>(random_.below(running_.size())));
    Attempt attempt = std::move(*place);
    running_.erase(place);
    Backend& backend = attempt.lease.backend();
    auto failure = outcomeOf(healthOf(backend.route->id));
    if (!failure) return dispatcher_.succeeded(backend);
    bool answering = *failure == Failure::BROKEN;
    dispatcher_.failed(backend, *failure, now_);
    Next next = afterFailure(*failure, {attempt.retries, answering});
    if (next == Next::ELSEWHERE) {
      ASSERT_FALSE(answering);
      return send(attempt.retries + 1, &backend);
    }
    ASSERT_EQ(next, Next::GIVE_UP);
    bool wasUnstarted = *failure == Failure::CONNECT || *failure == Failure::NO_ANSWER;
    if (wasUnstarted && attempt.retries == 0) ++failedThoughOneWasWell_;
  }

  static std::optional<Failure> outcomeOf(Health health) {
    switch (health) {
      case Health::WELL:
        return std::nullopt;
      case Health::GONE:
        return Failure::CONNECT;
      case Health::RESETS:
        return Failure::NO_ANSWER;
      case Health::HANGS:
        return Failure::FIRST_BYTE;
      case Health::BUSY:
        return Failure::BUSY;
      case Health::BREAKS:
        return Failure::BROKEN;
    }
    return std::nullopt;
  }

  SeededRandom random_;
  Dispatcher dispatcher_;
  SteadyTime now_{1'000'000'000'000};
  uint64_t count_ = 0;
  uint64_t index_ = 0;
  std::vector<Route> routes_;
  std::map<std::string, Health> health_;
  std::list<Attempt> running_;
  uint64_t failedThoughOneWasWell_ = 0;
};

TEST(FaultSchedules, neitherLoseCountNorSendWhereNothingIsTaken) {
  for (uint64_t seed = 1; seed <= SCHEDULES; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    for (int i = 0; i < STEPS; ++i) {
      world.step();
      world.check();
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_EQ(world.failedThoughOneWasWell(), 0u) << "given up without a retry";
    world.settle();
    world.check();
    world.expectAllServe();
    if (::testing::Test::HasFailure()) return;
  }
}

// One replica of several is gone for good: after it was found out, few requests meet it at all.
TEST(FaultSchedules, aDeadReplicaIsMetRarely) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    Dispatcher dispatcher(Balance::LEAST_OUTSTANDING, RULES, random);
    dispatcher.update(tableOf({route("chat", 0), route("chat", 1), route("chat", 2)}));
    SteadyTime now{1'000'000'000'000};
    int met = 0;
    for (int i = 0; i < 60'000; ++i) {  // 1,000 a second for a minute
      now = now + 1_ms;
      auto chosen = dispatcher.choose({"chat"}, now);
      auto& lease = std::get<Lease>(chosen);
      if (lease.route().id != "default/chat/0") {
        dispatcher.succeeded(lease.backend());
        continue;
      }
      ++met;
      dispatcher.failed(lease.backend(), Failure::CONNECT, now);
      auto second = dispatcher.choose({"chat", 0, &lease.backend()}, now);
      EXPECT_NE(std::get<Lease>(second).route().id, "default/chat/0");
    }
    // 3 until it is left out, then one after 1, 2, 4, 8, 8, ... seconds.
    EXPECT_LE(met, 3 + 10);
    EXPECT_GE(met, 3 + 6);
  }
}

}  // namespace
}  // namespace muster::gateway::fault_schedules_test
