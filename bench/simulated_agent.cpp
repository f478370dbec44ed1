#include "bench/simulated_agent.h"

#include "base/tls_transport.h"

#include <algorithm>

namespace muster::bench {
namespace {

bool isUp(const kj::Own<worker::CoordinatorLink>& link) {
  return link->status().state == worker::LinkState::ATTACHED;
}

}  // namespace

SimulatedAgent::SimulatedAgent(AgentShop& shop, const NodeName& name, const TlsFiles& files,
                               std::function<void(Epoch)> leaderAnswered)
    : shop_(shop),
      transport_(makeTlsTransport(shop.loop.network(), shop.loop.timer(), shop.cluster, files,
                                  {.handshakeDeadline = worker::CONNECT_DEADLINE})),
      keeper_(orders_, {}, shop.random.guid(), ranks_, shop.logger),
      leaderAnswered_(std::move(leaderAnswered)),
      tasks_("a simulated agent") {
  node_.name = name;
  node_.address = "127.0.0.1";
  node_.version = "bench";
  for (uint32_t i = 0; i < shop.devices; ++i) {
    node_.devices.push_back({{i}, "H100", name.value + "-" + std::to_string(i), 80_GiB, 0});
  }
  worker::LinkEnvironment environment{shop.loop.timer(), shop.clock, shop.random, *transport_,
                                      shop.logger};
  worker::LinkOwner& owner = *this;
  for (const auto& address : shop.coordinators) {
    links_.push_back(kj::heap<worker::CoordinatorLink>(environment, owner, address));
    tasks_.add(links_.back()->run());
  }
}

bool SimulatedAgent::isStarted() const {
  return answeredIn_.value > 0 && std::ranges::all_of(links_, isUp);
}

bool SimulatedAgent::isAttached() const { return std::ranges::any_of(links_, isUp); }

WorkerHello SimulatedAgent::hello() const {
  return {.cluster = shop_.cluster.value,
          .node = node_,
          .incarnation = keeper_.incarnation(),
          .highestOrder = keeper_.highestOrder(),
          .ranks = {},
          .token = keeper_.token()};
}

schema::Agent::Client SimulatedAgent::agentFor(const std::string& coordinator) {
  return worker::makeAgentServer({keeper_, ranks_, inspection_}, coordinator);
}

bool SimulatedAgent::answered(SteadyTime sentAt, const HeartbeatAnswer& answer) {
  bool leads = lease_.take(sentAt, answer, keeper_.token());
  if (leads && answer.token.epoch > answeredIn_) {
    answeredIn_ = answer.token.epoch;
    leaderAnswered_(answeredIn_);
  }
  return leads;
}

bool SimulatedAgent::isLed() const {
  return std::ranges::any_of(links_, [](const auto& link) { return link->status().leading; });
}

}  // namespace muster::bench
