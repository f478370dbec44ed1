#include "base/planted_bug.h"
#include "coordinator/core/change.h"
#include "coordinator/core/check.h"
#include "coordinator/core/cluster_view.h"
#include "coordinator/core/drain.h"
#include "coordinator/core/reconcile_topics.h"
#include "sharding/placer.h"

namespace muster::coordinator {
namespace {

// The first other replica that does not serve.
const ReplicaState* notServing(const DeploymentState& deployment, ReplicaNumber moving,
                               std::string& name) {
  for (const auto& [number, replica] : deployment.replicas) {
    if (number == moving || number.value >= deployment.spec.replicas) continue;
    if (replica.phase == ReplicaPhase::READY) continue;
    name = replicaName(deployment, number);
    return &replica;
  }
  return nullptr;
}

// Why there is no other place; nothing when there is one.
std::optional<Refusal> noOtherPlace(const State& state, const sharding::ClusterView& view,
                                    const DeploymentState& deployment, ReplicaNumber number) {
  auto outcome = sharding::planReplica(deployment.spec, manifestOf(state, deployment.spec), view,
                                       siblingNodes(deployment, number));
  auto* refused = std::get_if<sharding::RefusedReplica>(&outcome);
  return refused ? std::optional(refused->refusal) : std::nullopt;
}

DrainStep stepOf(const State& state, const sharding::ClusterView& view, const GenerationRef& ref,
                 bool forced) {
  const DeploymentState& deployment = state.deployments.at(ref.deployment);
  const ReplicaState& replica = deployment.replicas.at(ref.replica);
  DrainStep step{
      ref.deployment, ref.replica, ref.generation, replicaName(deployment, ref.replica), "", "",
      Reason::NONE};
  if (forced) return step;
  std::string name;
  const ReplicaState* other = notServing(deployment, ref.replica, name);
  if (MUSTER_PLANTED_BUG(DRAIN_BELOW_MINIMUM)) other = nullptr;
  if (replica.phase == ReplicaPhase::READY && other != nullptr) {
    step.blockedBy = name + " is " + std::string(toText(other->phase)) +
                     ", and all others must serve while one moves";
    step.fix = "muster why " + deployment.spec.name.value;
    step.reason = other->reason;
    return step;
  }
  auto noPlace = noOtherPlace(state, view, deployment, ref.replica);
  if (!noPlace) return step;
  step.blockedBy = "no other place: " + noPlace->text;
  step.fix = "add or uncordon a node, or drain with --force";
  step.reason = reasonOf(noPlace->code);
  return step;
}

std::set<GenerationRef> currentOn(const State& state, const NodeName& node) {
  std::set<GenerationRef> refs;
  auto devices = state.reservations.find(node);
  if (devices == state.reservations.end()) return refs;
  for (const auto& [device, ranks] : devices->second) {
    for (const auto& [rank, promised] : ranks) {
      if (state.findCurrent(generationOf(rank))) refs.insert(generationOf(rank));
    }
  }
  return refs;
}

bool isMovingAlready(const Look& look, DeploymentUid uid) {
  auto first = look.retiring.lower_bound({uid, {}, {}});
  return first != look.retiring.end() && first->deployment == uid;
}

void drainNode(Look& look, const NodeName& name, const NodeState& node) {
  for (const DrainStep& step : drainSteps(look.state, name)) {
    if (!step.blockedBy.empty()) continue;
    // One of a deployment at a time; the next waits until this one serves again.
    if (!node.drainForced && isMovingAlready(look, step.deployment)) continue;
    look.retire({step.deployment, step.replica, step.generation}, Reason::NODE_DRAINING,
                "node " + name.value + " is draining");
  }
  if (!checkNodeCommand(look.state, NodeDrained{name})) look.propose(NodeDrained{name});
}

}  // namespace

std::vector<DrainStep> drainSteps(const State& state, const NodeName& node) {
  std::vector<DrainStep> steps;
  std::set<GenerationRef> refs = currentOn(state, node);
  if (refs.empty()) return steps;
  const NodeState* known = state.findNode(node);
  sharding::ClusterView view = clusterView(state);
  for (const GenerationRef& ref : refs) {
    steps.push_back(stepOf(state, view, ref, known && known->drainForced));
  }
  return steps;
}

void reconcileDrains(Look& look) {
  if (MUSTER_PLANTED_BUG(FORGOTTEN_DRAIN) && look.observed.token.epoch.value > 2) return;
  for (const auto& [name, node] : look.state.nodes) {
    if (node.drain == DrainStage::DRAINING) drainNode(look, name, node);
  }
}

}  // namespace muster::coordinator
