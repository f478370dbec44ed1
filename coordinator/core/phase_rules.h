// Phases that follow from others: a replica's from its ranks, a deployment's from its replicas.
#pragma once

#include "coordinator/core/change.h"

#include <string>

namespace muster::coordinator {

// What a phase is together with why; `message` is for people.
template <class Phase>
struct PhaseView {
  Phase phase{};
  Reason reason = Reason::NONE;
  std::string message;
  bool operator==(const PhaseView&) const = default;
};

// Of a replica that has a current generation: the least progress of its ranks; FAILED as soon as
// one has ended.
PhaseView<ReplicaPhase> phaseOfRanks(const PlacedGeneration& generation);

PhaseView<DeploymentPhase> phaseOfReplicas(const DeploymentState& deployment);

// Replicas that serve what the deployment asks for now.
uint32_t readyReplicas(const DeploymentState& deployment);
// A current generation made from an older template than the wanted one.
bool isOutdated(const DeploymentState& deployment, const ReplicaState& replica);

// Set what follows, with an event for each phase entered.
void setReplicaPhase(Change& change, DeploymentState& deployment, ReplicaNumber number,
                     PhaseView<ReplicaPhase> view);
void refreshDeployment(Change& change, DeploymentState& deployment);

}  // namespace muster::coordinator
