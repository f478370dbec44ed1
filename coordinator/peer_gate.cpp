#include "coordinator/peer_gate.h"

#include "coordinator/peer_link.h"

namespace muster::coordinator {
namespace {

constexpr uint64_t ANSWER_BYTES_MAX = uint64_t{2} * 1024 * 1024;  // and one batch

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

  kj::Promise<void> batches(BatchesContext context) override {
    auto in = context.getParams();
    uint64_t bytes = 0;
    std::vector<ByteString> found;
    for (BatchNumber at{in.getFrom()}; found.size() < in.getCountMax(); at = at.next()) {
      auto batch = parts_.batch(at);
      if (!batch) break;
      bytes += batch->size();
      found.push_back(std::move(*batch));
      if (bytes > ANSWER_BYTES_MAX) break;
    }
    auto out = context.getResults().initBatches(static_cast<uint32_t>(found.size()));
    for (uint32_t i = 0; i < out.size(); i++) {
      out.set(i, {reinterpret_cast<const kj::byte*>(found[i].data()), found[i].size()});
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> damaged(DamagedContext context) override {
    parts_.damaged(BatchNumber{context.getParams().getBatch()});
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
