#include "coordinator/gate.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

class Gate final : public Authorized<schema::Gate> {
 public:
  Gate(const RpcPeer& peer, GateParts parts)
      : Authorized(peer.identity, parts.worker.logger), peer_(peer), parts_(kj::mv(parts)) {}

  kj::Promise<void> hello(HelloContext context) override {
    parts_.describe(context.getResults().initInfo());
    return kj::READY_NOW;
  }

  kj::Promise<void> api(ApiContext context) override {
    if (!parts_.makeApi) KJ_UNIMPLEMENTED("this coordinator serves no clients");
    context.getResults().setApi(parts_.makeApi(peer_));
    return kj::READY_NOW;
  }

  kj::Promise<void> worker(WorkerContext context) override {
    context.getResults().setGate(makeWorkerGate(peer_, parts_.worker));
    return kj::READY_NOW;
  }

  kj::Promise<void> follow(FollowContext context) override {
    if (!parts_.news) KJ_UNIMPLEMENTED("this coordinator tells no news");
    auto heard = context.getParams();
    LeadershipNews::Said said{{heard.getEpoch()}, heard.getServing()};
    context.allowCancellation();
    auto audience = peer_.identity.role == Role::WORKER ? Audience::WORKER : Audience::CLIENT;
    return parts_.news(said, audience).then([this, context]() mutable {
      parts_.describe(context.getResults().initInfo());
    });
  }

  kj::Promise<void> peer(PeerContext context) override {
    context.getResults().setPeer(makePeerGate(caller(), logger(), parts_.peer));
    return kj::READY_NOW;
  }

 private:
  RpcPeer peer_;
  GateParts parts_;
};

}  // namespace

schema::Gate::Client makeGate(const RpcPeer& peer, GateParts parts) {
  return kj::heap<Gate>(peer, kj::mv(parts));
}

}  // namespace muster::coordinator
