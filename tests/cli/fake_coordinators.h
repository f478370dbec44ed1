// Coordinators whose answers a test chooses, behind real RPC and TLS on the loopback.
#pragma once

#include "base/event_loop.h"
#include "base/pki.h"
#include "base/rpc.h"
#include "base/tls_transport.h"
#include "cli/coordinator_link.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "tests/base/temporary_folder.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace muster::cli {

inline const ClusterName FAKE_CLUSTER{"test"};

// One call as it came.
struct SeenCall {
  std::string method;
  std::string text;  // its main argument: documents, a reference, a kind and target
  RequestId request;
  LogIndex lastIndex;
  uint64_t afterIndex = 0;
  bool stale = false;
};

struct FakeAnswer {
  enum class Kind { JSON, REFUSAL, HANG, BREAK_CONNECTION, DENY };
  Kind kind = Kind::JSON;
  std::string json = "{}";
  Refusal refusal = {};
  uint64_t index = 10;

  static FakeAnswer of(std::string json, uint64_t index = 10) {
    return {.json = std::move(json), .index = index};
  }
  static FakeAnswer of(RefusalCode code, std::string text = "no") {
    return {.kind = Kind::REFUSAL, .refusal = {code, std::move(text)}};
  }
  static FakeAnswer of(Kind kind) { return {.kind = kind}; }
};

class FakeCoordinator;

// Every call of one connection, told to the coordinator.
class FakeApi final : public schema::ClusterApi::Server {
 public:
  explicit FakeApi(FakeCoordinator& owner) : owner_(owner) {}

  kj::Promise<void> plan(PlanContext context) override {
    return handle(context, "plan", context.getParams().getDocuments());
  }
  kj::Promise<void> apply(ApplyContext context) override {
    auto params = context.getParams();
    std::string plan = params.getPlanId();
    return handle(context, "apply", plan.empty() ? std::string(params.getDocuments()) : plan);
  }
  kj::Promise<void> delete_(DeleteContext context) override {
    return handle(context, "delete", context.getParams().getDeployment());
  }
  kj::Promise<void> scale(ScaleContext context) override {
    auto params = context.getParams();
    return handle(context, "scale",
                  std::string(params.getDeployment()) + "=" + std::to_string(params.getReplicas()));
  }
  kj::Promise<void> cordon(CordonContext context) override {
    return handle(context, "cordon", context.getParams().getNode());
  }
  kj::Promise<void> uncordon(UncordonContext context) override {
    return handle(context, "uncordon", context.getParams().getNode());
  }
  kj::Promise<void> drain(DrainContext context) override {
    return handle(context, "drain", context.getParams().getNode());
  }
  kj::Promise<void> get(GetContext context) override {
    auto params = context.getParams();
    std::string target = params.getTarget();
    return handle(context, "get",
                  std::string(params.getKind()) + (target.empty() ? "" : " " + target));
  }
  kj::Promise<void> why(WhyContext context) override {
    return handle(context, "why", context.getParams().getDeployment());
  }
  kj::Promise<void> logs(LogsContext context) override {
    return handle(context, "logs", context.getParams().getTarget());
  }
  kj::Promise<void> adminStatus(AdminStatusContext context) override {
    return handle(context, "adminStatus", "");
  }
  kj::Promise<void> stepDown(StepDownContext context) override {
    return handle(context, "stepDown", context.getParams().getSuccessor());
  }

 private:
  template <class Context>
  kj::Promise<void> handle(Context& context, const std::string& method, const std::string& text);

  FakeCoordinator& owner_;
};

class FakeCoordinator {
 public:
  // Issues its certificate from the authority in `folder` and listens on a port of the kernel's.
  FakeCoordinator(EventLoop& loop, const std::string& folder, std::string id)
      : loop_(loop),
        transport_(makeTlsTransport(
            loop.network(), loop.timer(), FAKE_CLUSTER,
            issueCertificate(folder, {.identity = {Role::COORDINATOR, id}, .cluster = FAKE_CLUSTER},
                             folder))),
        server_(loop.timer(),
                [this](const RpcPeer& peer) -> capnp::Capability::Client {
                  lastConnection = peer.connection;
                  return kj::heap<Gate>(*this, peer.connection);
                }),
        listener_(transport_->listen("127.0.0.1:0", server_.acceptor()).wait(loop.waitScope())) {
    facts.coordinator = CoordinatorId{std::move(id)};
    facts.cluster = FAKE_CLUSTER;
    facts.history = {1, {7, 7}};
    facts.epoch = {1};
    facts.clusterTime = {123};
  }

  std::string address() const { return listener_->address(); }
  void breakConnections() { server_.closeAll(); }
  // Tells its facts to all who wait for news.
  void tellNews() {
    for (auto& waiting : std::exchange(following_, {})) waiting->fulfill();
  }

  ServerFacts facts;  // what hello tells
  std::function<FakeAnswer(const SeenCall&)> answer = [](const SeenCall&) { return FakeAnswer{}; };
  std::vector<SeenCall> calls;
  uint32_t hellos = 0;
  RpcConnectionId lastConnection = 0;
  std::optional<RpcConnectionId> forgotten;  // a connection on which no hello is answered any more

 private:
  class Gate final : public schema::Gate::Server {
   public:
    Gate(FakeCoordinator& owner, RpcConnectionId connection)
        : owner_(owner), connection_(connection) {}
    kj::Promise<void> hello(HelloContext context) override {
      owner_.hellos++;
      if (owner_.forgotten == connection_) {
        context.allowCancellation();
        return kj::NEVER_DONE;
      }
      owner_.describe(context.getResults().initInfo());
      return kj::READY_NOW;
    }
    kj::Promise<void> follow(FollowContext context) override {
      auto heard = context.getParams();
      bool serving = owner_.facts.stage == Stage::SERVING;
      bool known = heard.getEpoch() == owner_.facts.epoch.value && heard.getServing() == serving;
      kj::Promise<void> news = kj::READY_NOW;
      if (known) {
        auto paf = kj::newPromiseAndFulfiller<void>();
        owner_.following_.push_back(kj::mv(paf.fulfiller));
        news = kj::mv(paf.promise);
      }
      context.allowCancellation();
      return news.then(
          [this, context]() mutable { owner_.describe(context.getResults().initInfo()); });
    }
    kj::Promise<void> api(ApiContext context) override {
      context.getResults().setApi(kj::heap<FakeApi>(owner_));
      return kj::READY_NOW;
    }

   private:
    FakeCoordinator& owner_;
    RpcConnectionId connection_;
  };

  void describe(schema::ServerInfo::Builder info) const {
    info.setCluster(facts.cluster.value);
    encode(facts.history, info.initHistory());
    info.setEpoch(facts.epoch.value);
    info.setCoordinator(facts.coordinator.value);
    info.setStage(static_cast<uint8_t>(facts.stage));
    info.setLeaderAddress(facts.leaderAddress);
    info.setClusterTimeNs(facts.clusterTime.nanos);
    info.setAppliedIndex(facts.applied.value);
  }

  EventLoop& loop_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> following_;
  kj::Own<Transport> transport_;
  RpcServer server_;
  kj::Own<Listener> listener_;
};

template <class Context>
kj::Promise<void> FakeApi::handle(Context& context, const std::string& method,
                                  const std::string& text) {
  auto params = context.getParams();
  SeenCall call{.method = method,
                .text = text,
                .request = decode(params.getHeader().getRequest()),
                .lastIndex = {params.getHeader().getLastIndex()}};
  if constexpr (requires { params.getOptions(); }) {
    call.afterIndex = params.getOptions().getAfterIndex();
    call.stale = params.getOptions().getStale();
  }
  owner_.calls.push_back(call);
  FakeAnswer answer = owner_.answer(call);
  auto outcome = context.getResults().initOutcome();
  outcome.setIndex(answer.index);
  outcome.setEpoch(owner_.facts.epoch.value);
  switch (answer.kind) {
    case FakeAnswer::Kind::JSON:
      outcome.setJson(answer.json);
      return kj::READY_NOW;
    case FakeAnswer::Kind::REFUSAL:
      encode(answer.refusal, outcome.initRefusal());
      return kj::READY_NOW;
    case FakeAnswer::Kind::DENY:
      return KJ_EXCEPTION(FAILED, "E0202 not allowed: viewer/bob may not call this");
    case FakeAnswer::Kind::BREAK_CONNECTION:
      owner_.breakConnections();
      break;
    case FakeAnswer::Kind::HANG:
      break;
  }
  context.allowCancellation();
  return kj::NEVER_DONE;
}

}  // namespace muster::cli
