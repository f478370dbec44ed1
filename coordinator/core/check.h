// Whether a command fits a state: asked by decide before the log and by apply after it, with equal
// answers.
#pragma once

#include "base/result.h"
#include "coordinator/core/state.h"
#include "protocol/command.h"

#include <optional>

namespace muster::coordinator {

// Nothing when the command may be applied; else what is wrong with it, naming things and values.
std::optional<Refusal> check(const State& state, const CommandBody& body);

std::optional<Refusal> checkNodeCommand(const State& state, const NodeRegistered& body);
std::optional<Refusal> checkNodeCommand(const State& state, const NodePhaseChanged& body);
std::optional<Refusal> checkNodeCommand(const State& state, const NodeDrained& body);
std::optional<Refusal> checkNodeNamed(const State& state, const NodeName& node);

std::optional<Refusal> checkDeploymentCommand(const State& state, const DeploymentApplied& body);
std::optional<Refusal> checkDeploymentCommand(const State& state, const DeploymentScaled& body);
std::optional<Refusal> checkDeploymentCommand(const State& state, const DeploymentDeleted& body);

std::optional<Refusal> checkReplicaCommand(const State& state, const ReplicaPlaced& body);
std::optional<Refusal> checkReplicaCommand(const State& state, const ReplicaWaiting& body);
std::optional<Refusal> checkReplicaCommand(const State& state, const ReplicaRetired& body);
std::optional<Refusal> checkReplicaCommand(const State& state, const RankProgressed& body);
std::optional<Refusal> checkReplicaCommand(const State& state, const RanksReleased& body);

// Nodes that stand declared lost though no operator cordoned or drained them.
size_t lostWithoutWord(const State& state);
// Whether a rank of a current generation is placed on the node.
bool hasCurrentRanks(const State& state, const NodeName& node);

}  // namespace muster::coordinator
