// The planner's answers in words.
#pragma once

#include "sharding/placer.h"
#include "sharding/replica_planner.h"

#include <string>
#include <vector>

namespace muster::sharding {

// What a gang asks for: "2 stages of 2 free devices with 1.2 GiB each, in one island".
std::string wantsText(const GangWish& wish, TensorScope scope);

// Why this cut and these devices; the binding constraint first.
std::vector<std::string> reasonsFor(const ReplicaPlanner& planner, const std::vector<Cut>& cuts,
                                    const FoundPlace& found);

// The best cuts that were not taken, with numbers.
// `chosen`: index into `cuts`, or cuts.size() when none was.
std::vector<Alternative> alternativesTo(const ReplicaPlanner& planner, const ClusterView& cluster,
                                        const std::vector<Cut>& cuts, size_t chosen);

// "w1 busy (2 used by lab/tests); w2 fits (2 free)": each node once, at most eight.
std::string nodesText(const std::vector<NodeVerdict>& nodes);

// The whole answer as the CLI shows it under `why` and `plan`.
std::string explain(const PlannedReplica& planned);
std::string explain(const RefusedReplica& refused);

}  // namespace muster::sharding
