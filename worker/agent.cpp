#include "worker/agent.h"

#include "base/exception_refusal.h"
#include "base/kj_time.h"
#include "worker/agent_server.h"

#include <algorithm>

namespace muster::worker {
namespace {

constexpr Duration LEASE_LOOK_MIN = 1_ms;  // the kj timer may be a little ahead of the clock
constexpr Duration FIND_DEADLINE = 10_s;   // longer than it takes to find another leader
constexpr Duration FIND_PAUSE = 200_ms;

Result<WeightSources> refusalOfQuestion(kj::Exception&& why) {
  using enum kj::Exception::Type;
  if (why.getType() == UNIMPLEMENTED) {
    return Refusal{RefusalCode::NOT_SUPPORTED_YET, "the leader is of an older version"};
  }
  bool passes = why.getType() == DISCONNECTED || why.getType() == OVERLOADED;
  if (passes) return Refusal{RefusalCode::NO_LEADER, why.getDescription().cStr()};
  return refusalOf(why);
}

bool mayPass(const Refusal& refusal) {
  return refusal.code == RefusalCode::NO_LEADER || refusal.code == RefusalCode::NOT_LEADER;
}

}  // namespace

Result<kj::Own<Agent>> Agent::start(AgentEnvironment environment, AgentOptions options) {
  auto stored = environment.orders.load();
  if (!stored) return stored.refusal();
  auto agent = kj::heap<Agent>(kj::mv(environment), kj::mv(options), kj::mv(*stored));
  agent->begin();
  return kj::mv(agent);
}

Agent::Agent(AgentEnvironment environment, AgentOptions options, StoredOrders stored)
    : environment_(kj::mv(environment)),
      options_(kj::mv(options)),
      keeper_(environment_.orders, kj::mv(stored), environment_.random.guid(), environment_.ranks,
              environment_.logger),
      tasks_("agent") {}

// Ranks first: the hello says what runs, and what it leaves out would be taken for gone.
void Agent::begin() {
  keeper_.restore();
  LinkEnvironment link{environment_.timer, environment_.clock, environment_.random,
                       environment_.transport, environment_.logger};
  LinkOwner& owner = *this;
  for (const std::string& address : options_.coordinators) {
    links_.push_back(kj::heap<CoordinatorLink>(link, owner, address, options_.links));
  }
  tasks_.add(watchRanks());
  tasks_.add(watchLease());
  for (auto& one : links_) tasks_.add(one->run());
}

AgentStatus Agent::status() const {
  AgentStatus status;
  for (const auto& link : links_) status.links.push_back(link->status());
  SteadyTime now = environment_.clock.steadyNow();
  status.lease = stateOf(lease_, now);
  if (status.lease == LeaseState::HELD) status.leaseRemaining = *lease_.end() - now;
  status.token = keeper_.token();
  status.order = keeper_.highestOrder();
  status.ranks = environment_.ranks.reports();
  return status;
}

Co<void> Agent::watchRanks() {
  for (;;) {
    co_await environment_.ranks.changed();
    changes_.fire();
  }
}

// Nothing is stopped when a lease ends, for deployments serve on; it is said, once per change.
Co<void> Agent::watchLease() {
  for (;;) {
    SteadyTime now = environment_.clock.steadyNow();
    if (lease_.held(now)) {
      Duration left = std::max(*lease_.end() - now, LEASE_LOOK_MIN);
      co_await environment_.timer.afterDelay(toKj(left));
    } else {
      co_await leaseGrown_.next();
    }
    reviewLease();
  }
}

void Agent::reviewLease() {
  LeaseState state = stateOf(lease_, environment_.clock.steadyNow());
  if (state == leaseSeen_) return;
  leaseSeen_ = state;
  if (state == LeaseState::HELD) {
    environment_.logger.info("lease held", {{"epoch", keeper_.token().epoch}});
  } else {
    environment_.logger.warn(
        "isolated: the lease has ended, and no leader answers; deployments "
        "go on",
        {{"epoch", keeper_.token().epoch}});
  }
}

WorkerHello Agent::hello() const {
  return {.cluster = options_.cluster.value,
          .node = options_.node,
          .incarnation = keeper_.incarnation(),
          .highestOrder = keeper_.highestOrder(),
          .ranks = environment_.ranks.reports(),
          .token = keeper_.token(),
          .weightAddress = options_.weightAddress};
}

NodeReport Agent::report() {
  return {++reports_, environment_.ranks.reports(), keeper_.highestOrder(),
          unhealthyOf(options_.node)};
}

void Agent::takeHealth(const std::map<DeviceIndex, std::string>& unhealthy) {
  setUnhealthy(options_.node, unhealthy);
  changes_.fire();
}

kj::Promise<Result<WeightSources>> Agent::find(RankRef rank) { return findCo(rank); }

CoordinatorLink* Agent::leadingLink() {
  for (auto& link : links_) {
    if (link->status().state == LinkState::ATTACHED && link->status().leading) return link.get();
  }
  return nullptr;
}

// Leaders change: the next one is asked as soon as it is known.
Co<Result<WeightSources>> Agent::findCo(RankRef rank) {
  SteadyTime end = environment_.clock.steadyNow() + FIND_DEADLINE;
  Refusal last{RefusalCode::NO_LEADER, "no leader was reached"};
  for (;;) {
    CoordinatorLink* link = leadingLink();
    if (link != nullptr) {
      auto asked = link->weightSources(rank).catch_(
          [](kj::Exception&& why) { return refusalOfQuestion(kj::mv(why)); });
      auto answer = co_await kj::mv(asked);
      if (answer || !mayPass(answer.refusal())) co_return kj::mv(answer);
      last = answer.refusal();
    }
    if (environment_.clock.steadyNow() >= end) co_return kj::mv(last);
    co_await environment_.timer.afterDelay(toKj(FIND_PAUSE));
  }
}

schema::Agent::Client Agent::agentFor(const std::string& coordinator) {
  return makeAgentServer({keeper_, environment_.ranks, environment_.inspection}, coordinator);
}

Result<Done> Agent::sawToken(const FencingToken& token, const std::string& from) {
  return keeper_.sawToken(token, from);
}

bool Agent::answered(SteadyTime sentAt, const HeartbeatAnswer& answer) {
  bool leads = lease_.take(sentAt, answer, keeper_.token());
  if (leads) leaseGrown_.fire();
  return leads;
}

bool Agent::isLed() const {
  return std::ranges::any_of(links_, [](const auto& link) { return link->status().leading; });
}

bool Agent::isAttached() const {
  return std::ranges::any_of(
      links_, [](const auto& link) { return link->status().state == LinkState::ATTACHED; });
}

}  // namespace muster::worker
