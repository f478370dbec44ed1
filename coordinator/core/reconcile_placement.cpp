// Places for replicas that have none.
#include "coordinator/core/cluster_view.h"
#include "coordinator/core/reconcile_topics.h"
#include "sharding/placer.h"

#include <algorithm>

namespace muster::coordinator {

Reason reasonOf(RefusalCode code) {
  switch (code) {
    case RefusalCode::WAITING_FOR_CAPACITY:
    case RefusalCode::NO_WORKER:
      return Reason::WAITING_FOR_CAPACITY;
    case RefusalCode::NO_MATCHING_GPU:
      return Reason::NO_MATCHING_GPU;
    case RefusalCode::TOPOLOGY_UNSATISFIED:
      return Reason::TOPOLOGY_UNSATISFIED;
    default:
      return Reason::MODEL_DOES_NOT_FIT;
  }
}

namespace {

ReplicaWaiting waitingFor(DeploymentUid uid, ReplicaNumber number,
                          const sharding::RefusedReplica& refused) {
  ReplicaWaiting waiting{.deployment = uid,
                         .replica = number,
                         .reason = reasonOf(refused.refusal.code),
                         .message = refused.refusal.text,
                         .verdicts = {},
                         .fixes = refused.refusal.fixes};
  for (const auto& node : refused.nodes) {
    waiting.verdicts.push_back({node.node, node.verdict, node.detail});
  }
  return waiting;
}

GroupSecret drawSecret(Random& random) {
  GroupSecret secret{};
  for (size_t i = 0; i < secret.size(); i += sizeof(uint64_t)) {
    uint64_t bits = random.next();
    for (size_t j = 0; j < sizeof bits; ++j) secret[i + j] = static_cast<uint8_t>(bits >> (8 * j));
  }
  return secret;
}

class Placer {
 public:
  explicit Placer(Look& look) : look_(look) {}

  // One deployment's replicas, lowest first. False when enough was planned for one look.
  bool place(const DeploymentState& deployment) {
    const sharding::RefusedReplica* refused = nullptr;
    std::optional<sharding::PlacementOutcome> answer;
    Generation next = deployment.nextGeneration;
    std::vector<NodeName> taken;  // by replicas placed in this look
    for (const auto& [number, replica] : deployment.replicas) {
      if (!needsPlace(deployment, number, replica)) continue;
      if (!refused) {
        if (plans_++ == PLANS_MAX) return false;
        answer = plan(deployment, number, taken);
        refused = std::get_if<sharding::RefusedReplica>(&*answer);
      }
      // What one replica cannot have now, its equals cannot have either.
      if (refused) {
        look_.propose(waitingFor(deployment.uid, number, *refused));
        continue;
      }
      take(deployment, number, std::get<sharding::PlannedReplica>(*answer), next, taken);
      next = next.next();
    }
    return true;
  }

 private:
  static constexpr uint32_t PLANS_MAX = 64;  // in one look, so that the leader goes on breathing

  bool needsPlace(const DeploymentState& deployment, ReplicaNumber number,
                  const ReplicaState& replica) {
    if (replica.current || deployment.deleting || number.value >= deployment.spec.replicas) {
      return false;
    }
    if (look_.now < replica.retryAt) {
      look_.wakeAt(replica.retryAt);
      return false;
    }
    // The planner has said no, and nothing has become free since.
    return replica.answeredIndex.value == 0 || replica.answeredIndex < look_.state.capacityIndex;
  }

  // Nodes that are attached come first. One that has not attached to a new leader yet may still be
  // there.
  sharding::PlacementOutcome plan(const DeploymentState& deployment, ReplicaNumber number,
                                  const std::vector<NodeName>& taken) {
    std::vector<NodeName> siblings = siblingNodes(deployment, number);
    siblings.insert(siblings.end(), taken.begin(), taken.end());
    auto ask = [&](const sharding::ClusterView& view) {
      return sharding::planReplica(deployment.spec, manifestOf(look_.state, deployment.spec), view,
                                   siblings);
    };
    prepareViews();
    auto outcome = ask(*attachedView_);
    bool isRefused = std::holds_alternative<sharding::RefusedReplica>(outcome);
    return isRefused && wholeView_ ? ask(*wholeView_) : outcome;
  }

  void prepareViews() {
    if (attachedView_) return;
    std::set<NodeName> notAttached;
    for (const auto& [name, node] : look_.state.nodes) {
      if (node.takesWork() && !look_.attached(name)) notAttached.insert(name);
    }
    attachedView_ = clusterView(look_.state, notAttached);
    if (!notAttached.empty()) wholeView_ = clusterView(look_.state);
  }

  void take(const DeploymentState& deployment, ReplicaNumber number,
            const sharding::PlannedReplica& planned, Generation generation,
            std::vector<NodeName>& taken) {
    addUses(*attachedView_, deployment, number, planned.placement);
    if (wholeView_) addUses(*wholeView_, deployment, number, planned.placement);
    for (const auto& rank : planned.placement.ranks) taken.push_back(rank.node);
    look_.propose(ReplicaPlaced{.deployment = deployment.uid,
                                .replica = number,
                                .generation = generation,
                                .revision = deployment.revision,
                                .plan = planned.plan,
                                .placement = planned.placement,
                                .secret = drawSecret(look_.random)});
  }

  Look& look_;
  std::optional<sharding::ClusterView> attachedView_;
  std::optional<sharding::ClusterView> wholeView_;  // only while nodes are missing from the other
  uint32_t plans_ = 0;
};

}  // namespace

void reconcilePlacement(Look& look) {
  Placer placer(look);
  for (const auto& [uid, deployment] : look.state.deployments) {
    if (placer.place(deployment)) continue;
    look.wakeAt({look.now.nanos + 1});  // the rest, as soon as these are applied
    return;
  }
}

}  // namespace muster::coordinator
