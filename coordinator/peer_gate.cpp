#include "coordinator/peer_gate.h"

#include "coordinator/peer_link.h"

namespace muster::coordinator {
namespace {

class PeerGate final : public Authorized<schema::Peer> {
 public:
  PeerGate(PeerIdentity caller, Logger logger, PeerGateParts parts)
      : Authorized(kj::mv(caller), kj::mv(logger)), parts_(kj::mv(parts)) {}

  kj::Promise<void> heartbeat(HeartbeatContext context) override {
    parts_.describe(context.getResults().initState());
    return kj::READY_NOW;
  }

  kj::Promise<void> suspects(SuspectsContext context) override {
    auto leader = decodeLeader(context.getParams().getLeader());
    context.getResults().setSuspects(parts_.suspects(leader));
    return kj::READY_NOW;
  }

 private:
  PeerGateParts parts_;
};

}  // namespace

schema::Peer::Client makePeerGate(PeerIdentity caller, Logger logger, PeerGateParts parts) {
  return kj::heap<PeerGate>(kj::mv(caller), kj::mv(logger), kj::mv(parts));
}

}  // namespace muster::coordinator
