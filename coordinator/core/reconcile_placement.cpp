// Places for replicas that have none.
#include "coordinator/core/cluster_view.h"
#include "coordinator/core/reconcile_topics.h"
#include "sharding/deployment_placer.h"
#include "sharding/placer.h"

#include <algorithm>
#include <span>

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

// Of the words that the planner has for each node, so many go into the log with each replica that
// waits: ten thousand would not fit a command. `muster why` asks the planner and shows all.
constexpr size_t VERDICTS_LOGGED_MAX = 64;

ReplicaWaiting waitingFor(DeploymentUid uid, ReplicaNumber number,
                          const sharding::RefusedReplica& refused) {
  ReplicaWaiting waiting{.deployment = uid,
                         .replica = number,
                         .reason = reasonOf(refused.refusal.code),
                         .message = refused.refusal.text,
                         .verdicts = {},
                         .fixes = refused.refusal.fixes};
  for (const auto& node :
       std::span(refused.nodes).first(std::min(refused.nodes.size(), VERDICTS_LOGGED_MAX))) {
    waiting.verdicts.push_back({node.node, node.verdict, node.detail});
  }
  return waiting;
}

// How much is planned in one look, so that the leader goes on breathing: a replica that is placed
// costs one, and a refusal, which has a word for every node, as much as that takes.
class LookBudget {
 public:
  explicit LookBudget(size_t nodes) : nodes_(nodes) {}
  bool isSpent() const { return spent_ >= BUDGET; }
  void placed() { ++spent_; }
  void refused() { spent_ += 1 + nodes_ / NODES_FOR_ONE; }

 private:
  static constexpr size_t BUDGET = 1024;
  static constexpr size_t NODES_FOR_ONE = 4;  // planReplica() looks at each several times
  size_t nodes_;
  size_t spent_ = 0;
};

class Placer {
 public:
  explicit Placer(Look& look) : look_(look), budget_(look.state.nodes.size()) {}

  // One deployment's replicas, lowest first. False when enough was planned for one look.
  bool place(const DeploymentState& deployment) {
    std::vector<ReplicaNumber> wanting;
    for (const auto& [number, replica] : deployment.replicas) {
      if (needsPlace(deployment, number, replica)) wanting.push_back(number);
    }
    if (wanting.empty()) return true;
    if (budget_.isSpent()) return false;
    prepareDrafts();
    // Nodes that are attached come first. One that has not attached to a new leader yet may still
    // be there.
    auto next = wanting.begin();
    Generation generation = deployment.nextGeneration;
    fill(deployment, *attached_, whole_ ? &*whole_ : nullptr, next, wanting.end(), generation);
    if (whole_) fill(deployment, *whole_, &*attached_, next, wanting.end(), generation);
    if (next == wanting.end()) return true;
    if (budget_.isSpent()) return false;
    refuse(deployment, next, wanting.end());
    return true;
  }

 private:
  using Numbers = std::vector<ReplicaNumber>::const_iterator;

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

  void prepareDrafts() {
    if (attached_) return;
    const sharding::PlacementIndex& index = look_.index.of(look_.state);
    attached_.emplace(index);
    for (const auto& [name, node] : look_.state.nodes) {
      if (!node.takesWork() || look_.attached(name)) continue;
      if (!whole_) whole_.emplace(index);
      attached_->close(name, "health", NOT_ATTACHED);
    }
  }

  std::vector<NodeName> siblingsOf(const DeploymentState& deployment, ReplicaNumber number) const {
    std::vector<NodeName> siblings = siblingNodes(deployment, number);
    auto taken = taken_.find(deployment.uid);
    if (taken != taken_.end()) {
      siblings.insert(siblings.end(), taken->second.begin(), taken->second.end());
    }
    return siblings;
  }

  // Places what fits in `draft`, and notes it in `other`.
  void fill(const DeploymentState& deployment, sharding::PlacementDraft& draft,
            sharding::PlacementDraft* other, std::vector<ReplicaNumber>::iterator& next,
            std::vector<ReplicaNumber>::iterator end, Generation& generation) {
    if (next == end || budget_.isSpent()) return;
    sharding::DeploymentPlacer placer(deployment.spec, manifestOf(look_.state, deployment.spec),
                                      siblingsOf(deployment, *next), draft);
    for (; next != end && !budget_.isSpent(); ++next) {
      auto chosen = placer.place(*next);
      if (!chosen) return;
      budget_.placed();
      if (other != nullptr) note(*other, deployment, *next, chosen->placement);
      for (const auto& rank : chosen->placement.ranks) taken_[deployment.uid].push_back(rank.node);
      propose(deployment, *next, std::move(*chosen), generation);
      generation = generation.next();
    }
  }

  static void note(sharding::PlacementDraft& draft, const DeploymentState& deployment,
                   ReplicaNumber number, const Placement& placement) {
    for (const auto& rank : placement.ranks) {
      auto node = draft.take(rank.node);
      if (!node) continue;
      addUse(*node, rank, {deployment.spec.tenant, deployment.spec.name}, number);
      draft.put(std::move(*node));
    }
  }

  void propose(const DeploymentState& deployment, ReplicaNumber number,
               sharding::ChosenPlace&& chosen, Generation generation) {
    look_.propose(ReplicaPlaced{.deployment = deployment.uid,
                                .replica = number,
                                .generation = generation,
                                .revision = deployment.revision,
                                .plan = std::move(chosen.plan),
                                .placement = std::move(chosen.placement),
                                .secret = drawSecret(look_.random)});
  }

  // What one replica cannot have now, its equals cannot have either.
  void refuse(const DeploymentState& deployment, Numbers next, Numbers end) {
    budget_.refused();
    auto outcome =
        sharding::planReplica(deployment.spec, manifestOf(look_.state, deployment.spec),
                              viewOf(whole_ ? *whole_ : *attached_), siblingsOf(deployment, *next));
    const auto* refused = std::get_if<sharding::RefusedReplica>(&outcome);
    if (refused == nullptr) return;  // the next look finds it, whoever is right
    for (; next != end; ++next) look_.propose(waitingFor(deployment.uid, *next, *refused));
  }

  Look& look_;
  LookBudget budget_;
  std::optional<sharding::PlacementDraft> attached_;
  std::optional<sharding::PlacementDraft> whole_;  // only while nodes are missing from the other
  std::map<DeploymentUid, std::vector<NodeName>> taken_;  // by replicas placed in this look
};

}  // namespace

void reconcilePlacement(Look& look) {
  Placer placer(look);
  for (const auto& [uid, deployment] : look.state.deployments) {
    if (look.advancing.contains(uid)) {
      look.wakeAt({look.now.nanos + 1});
      continue;
    }
    if (placer.place(deployment)) continue;
    look.wakeAt({look.now.nanos + 1});  // the rest, as soon as these are applied
    return;
  }
}

}  // namespace muster::coordinator
