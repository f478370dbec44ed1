#include "coordinator/core/state.h"

namespace muster::coordinator {

NodePhase NodeState::phase() const {
  if (reachability != NodePhase::READY) return reachability;
  if (drain == DrainStage::DRAINED) return NodePhase::DRAINED;
  if (drain == DrainStage::DRAINING) return NodePhase::DRAINING;
  return cordon ? NodePhase::CORDONED : NodePhase::READY;
}

const DeploymentState* State::findDeployment(const TenantName& tenant,
                                             const DeploymentName& name) const {
  auto found = deploymentByName.find({tenant, name});
  return found == deploymentByName.end() ? nullptr : findDeployment(found->second);
}

const DeploymentState* State::findDeployment(DeploymentUid uid) const {
  auto found = deployments.find(uid);
  return found == deployments.end() ? nullptr : &found->second;
}

const ReplicaState* State::findReplica(DeploymentUid uid, ReplicaNumber replica) const {
  const DeploymentState* deployment = findDeployment(uid);
  if (!deployment) return nullptr;
  auto found = deployment->replicas.find(replica);
  return found == deployment->replicas.end() ? nullptr : &found->second;
}

const PlacedGeneration* State::findCurrent(const GenerationRef& ref) const {
  const ReplicaState* replica = findReplica(ref.deployment, ref.replica);
  if (!replica || !replica->current || replica->current->generation != ref.generation) {
    return nullptr;
  }
  return &*replica->current;
}

const NodeState* State::findNode(const NodeName& name) const {
  auto found = nodes.find(name);
  return found == nodes.end() ? nullptr : &found->second;
}

const Outcome* State::findOutcome(const RequestId& id) const {
  auto found = outcomes.find(outcomeKey(id));
  return found == outcomes.end() ? nullptr : &found->second;
}

}  // namespace muster::coordinator
