#include "coordinator/worker_gate.h"

#include "protocol/codec.h"
#include "protocol/names.h"
#include "protocol/report_change.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

// Of the answer to a heartbeat. Without a size kj takes 8 kB, and clears them.
constexpr capnp::MessageSize ANSWER_SIZE{32, 0};

// One attached connection. It lives as long as the connection, so its end is how a broken
// connection is noticed.
class WorkerSession final : public Authorized<schema::WorkerSession> {
 public:
  WorkerSession(const RpcPeer& peer, NodeName node, AttachmentId id, WorkerGateParts parts)
      : Authorized(peer.identity, parts.logger),
        id_(id),
        node_(kj::mv(node)),
        parts_(kj::mv(parts)) {}
  ~WorkerSession() noexcept(false) override { parts_.registry.detach(node_, id_); }
  KJ_DISALLOW_COPY(WorkerSession);

  kj::Promise<void> heartbeat(HeartbeatContext context) override {
    auto report = context.getParams().getReport();
    take(report);
    auto answer = context.getResults(ANSWER_SIZE).initAnswer();
    bool leads = parts_.authority.leading();
    encode(parts_.authority.token(), answer.initToken());
    answer.setLeading(leads);
    answer.setLeaseRemainingMs(static_cast<uint32_t>(parts_.authority.extendLease(node_).millis()));
    answer.setKept(kept_);
    answer.setNextMs(static_cast<uint32_t>((leads ? HEARTBEAT : HEARTBEAT_TO_STANDBY).millis()));
    return kj::READY_NOW;
  }

  kj::Promise<void> weightSources(WeightSourcesContext context) override {
    RankRef rank = decode(context.getParams().getRank());
    context.allowCancellation();
    return parts_.authority.weightSources(node_, rank)
        .then([context](Result<WeightSources> sources) mutable {
          auto results = context.getResults();
          if (sources) {
            encode(*sources, results.initSources());
          } else {
            encode(sources.refusal(), results.initRefusal());
          }
        });
  }

 private:
  // Remembers what the agent says. What is told against a report that we do not have is not taken:
  // the agent hears so, and tells everything.
  void take(schema::NodeReport::Reader report) {
    auto& registry = parts_.registry;
    bool isWhole = report.getBase() == 0;
    bool isKnown = isWhole || report.getBase() == kept_;
    kept_ = isKnown ? report.getSequence() : 0;
    bool isOurs = false;
    if (!isKnown) {
      isOurs = registry.isAttached(node_, id_);
    } else if (saysNothingNew(report)) {
      isOurs = registry.confirm(node_, id_);
    } else if (isWhole) {
      isOurs = registry.report(node_, id_, decode(report));
    } else {
      isOurs = registry.change(node_, id_, decodeChange(report));
    }
    KJ_REQUIRE(isOurs, "another connection speaks for this node now", node_.value.c_str());
    if (isKnown && report.hasObeyed()) sawToken(decode(report.getObeyed()).token);
  }
  void sawToken(const FencingToken& obeyed) {
    if (obeyed > parts_.authority.token()) parts_.authority.sawToken(obeyed, node_);
  }

  AttachmentId id_;
  uint64_t kept_ = 0;  // sequence of the report that the registry has of this connection
  NodeName node_;
  WorkerGateParts parts_;
};

class WorkerGate final : public Authorized<schema::WorkerGate> {
 public:
  WorkerGate(const RpcPeer& peer, WorkerGateParts parts)
      : Authorized(peer.identity, parts.logger), peer_(peer), parts_(kj::mv(parts)) {}

  kj::Promise<void> attach(AttachContext context) override {
    auto params = context.getParams();
    WorkerHello hello = decode(params.getHello());
    auto& authority = parts_.authority;
    auto refusal = checkHello(hello, peer_.identity, authority.cluster(), authority.token());
    if (refusal) {
      logger().warn("worker refused", {{"node", hello.node.name}, {"why", refusal->text}});
      encode(*refusal, context.getResults().initAnswer().initRefusal());
      return kj::READY_NOW;
    }
    FencingToken seen = std::max(hello.token, hello.highestOrder.token);
    if (seen > authority.token()) authority.sawToken(seen, hello.node.name);
    NodeName node = hello.node.name;
    auto attached = parts_.registry.attach(kj::mv(hello), params.getAgent(), peer_.connection);
    if (attached.replaced) parts_.closeConnection(*attached.replaced);
    // Behind the closing of the older connection in the queue, so that it is over before the answer
    // leaves.
    return kj::evalLater([this, context, node = kj::mv(node), id = attached.id]() mutable {
      answerAccepted(context, kj::mv(node), id);
    });
  }

 private:
  void answerAccepted(AttachContext& context, NodeName node, AttachmentId id) {
    auto results = context.getResults();
    auto accepted = results.initAnswer().initAccepted();
    encode(parts_.authority.token(), accepted.initToken());
    accepted.setCoordinator(parts_.authority.id().value.c_str());
    accepted.setLeading(parts_.authority.leading());
    accepted.setHeartbeatMs(static_cast<uint32_t>(HEARTBEAT.millis()));
    results.setSession(kj::heap<WorkerSession>(peer_, kj::mv(node), id, parts_));
  }

  RpcPeer peer_;
  WorkerGateParts parts_;
};

}  // namespace

schema::WorkerGate::Client makeWorkerGate(const RpcPeer& peer, WorkerGateParts parts) {
  return kj::heap<WorkerGate>(peer, kj::mv(parts));
}

std::optional<Refusal> checkHello(const WorkerHello& hello, const PeerIdentity& peer,
                                  const ClusterName& cluster, const FencingToken& known) {
  if (hello.node.name.value != peer.name) {
    return Refusal{RefusalCode::NOT_ALLOWED, "the certificate is of worker " + peer.name +
                                                 ", which may not speak for node " +
                                                 hello.node.name.value};
  }
  if (hello.cluster != cluster.value) {
    return Refusal{RefusalCode::HISTORY_MISMATCH, "worker " + peer.name + " belongs to cluster " +
                                                      hello.cluster + ", this is cluster " +
                                                      cluster.value};
  }
  const HistoryId& theirs = hello.token.history;
  bool bothKnown = !theirs.guid.isNull() && !known.history.guid.isNull();
  if (bothKnown && theirs.number == known.history.number && theirs.guid != known.history.guid) {
    return Refusal{RefusalCode::HISTORY_MISMATCH,
                   "worker " + peer.name + " has obeyed history " + toText(theirs.guid) +
                       ", this cluster's is " + toText(known.history.guid) +
                       " of the same number: two clusters were mixed up"};
  }
  return std::nullopt;
}

}  // namespace muster::coordinator
