#include "cli/local_cluster/cluster_probe.h"

#include "base/co.h"
#include "base/http_client.h"
#include "base/kj_time.h"
#include "base/rpc.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/stage.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace muster::cli {
namespace {

constexpr Duration PROBE_DEADLINE = 2_s;

// What one coordinator said.
struct Answer {
  bool up = false;
  bool serving = false;
  std::string id;
  std::set<std::string> readyNodes;  // of the one that serves
  Answer() = default;
};

std::set<std::string> readyNodes(const std::string& text) {
  std::set<std::string> names;
  auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_object() || !list.contains("items")) return names;
  for (const auto& node : list["items"]) {
    auto status = node.value("status", nlohmann::json::object());
    if (status.value("phase", "") == "Ready" && status.value("attached", false)) {
      names.insert(node.value("name", ""));
    }
  }
  return names;
}

kj::Promise<std::set<std::string>> askNodes(schema::Gate::Client gate) {
  auto request = gate.apiRequest().send().getApi().getRequest();
  request.setKind("nodes");
  return request.send()
      .then([](capnp::Response<schema::ClusterApi::GetResults>&& answer) {
        auto outcome = answer.getOutcome();
        return outcome.isJson() ? readyNodes(outcome.getJson().cStr()) : std::set<std::string>();
      })
      .catch_([](kj::Exception&&) { return std::set<std::string>(); });  // it leads no more
}

Co<Answer> askCo(EventLoop& loop, Transport& transport, std::string address) {
  auto connection = co_await connectRpc(transport, loop.timer(), address, Role::COORDINATOR);
  auto gate = connection->bootstrap<schema::Gate>();
  auto hello = co_await gate.helloRequest().send();
  Answer answer;
  answer.up = true;
  answer.id = hello.getInfo().getCoordinator().cStr();
  answer.serving = static_cast<Stage>(hello.getInfo().getStage()) == Stage::SERVING;
  if (answer.serving) answer.readyNodes = co_await askNodes(gate);
  co_return answer;
}

kj::Promise<Answer> ask(EventLoop& loop, Transport& transport, std::string address) {
  kj::Promise<Answer> asked = askCo(loop, transport, address);
  return withDeadline(loop.timer(), PROBE_DEADLINE, "asking " + address, kj::mv(asked))
      .catch_([](kj::Exception&&) { return Answer(); });
}

ClusterProgress summary(const kj::Array<Answer>& answers, const LocalPlan& plan) {
  ClusterProgress progress;
  std::set<std::string> ready;
  for (const auto& answer : answers) {
    if (answer.up) ++progress.coordinatorsUp;
    if (!answer.serving) continue;
    progress.leader = answer.id;
    ready = answer.readyNodes;
  }
  for (const auto& worker : plan.workers) {
    if (ready.count(worker) == 0) progress.missingWorkers.push_back(worker);
  }
  return progress;
}

kj::Promise<bool> askGateway(EventLoop& loop, const LocalGateway& gateway) {
  HttpProbe probe{.port = gateway.httpPort, .path = "/readyz"};
  return probeHttp(loop.network(), loop.timer(), probe).then([](Result<int> status) {
    return status && *status == 200;
  });
}

kj::Promise<ClusterProgress> addGateways(EventLoop& loop, const LocalPlan& plan,
                                         kj::Promise<ClusterProgress> progress) {
  kj::Vector<kj::Promise<bool>> asked;
  for (const auto& one : plan.gateways) asked.add(askGateway(loop, one));
  auto answers = kj::joinPromises(asked.releaseAsArray());
  return progress.then([answers = kj::mv(answers)](ClusterProgress known) mutable {
    return answers.then([known = std::move(known)](kj::Array<bool>&& ready) mutable {
      for (bool one : ready) known.gatewaysReady += one ? 1 : 0;
      return std::move(known);
    });
  });
}

}  // namespace

kj::Promise<ClusterProgress> probeCluster(EventLoop& loop, Transport& transport,
                                          const LocalPlan& plan) {
  kj::Vector<kj::Promise<Answer>> asked;
  for (const auto& one : plan.coordinators) {
    asked.add(ask(loop, transport, std::string(LOCAL_HOST) + ":" + std::to_string(one.rpcPort)));
  }
  auto summed = kj::joinPromises(asked.releaseAsArray()).then([plan](kj::Array<Answer>&& answers) {
    return summary(answers, plan);
  });
  return addGateways(loop, plan, kj::mv(summed));
}

std::string toText(const ClusterProgress& progress, const LocalPlan& plan) {
  std::string text = std::to_string(progress.coordinatorsUp) + " of " +
                     std::to_string(plan.coordinators.size()) + " coordinators, " +
                     (progress.leader.empty() ? "no leader yet" : "leader " + progress.leader);
  std::string missing;
  for (const auto& worker : progress.missingWorkers)
    missing += (missing.empty() ? "" : ", ") + worker;
  if (missing.empty() && progress.gatewaysReady < plan.gateways.size()) missing = "the gateway";
  if (progress.leader.empty() || missing.empty()) return text;
  return text + ", waiting for " + missing;
}

}  // namespace muster::cli
