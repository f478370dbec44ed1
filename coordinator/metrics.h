// What a coordinator shows of itself and of the cluster, in Prometheus' text form.
#pragma once

#include "coordinator/call_stats.h"
#include "coordinator/core/state.h"

#include <string>

namespace muster::coordinator {

// Made anew for each scrape from what there is, so that the series are bounded by live objects.
// Series about the cluster (nodes, deployments) rest on this coordinator's own state.
std::string metricsText(const CoordinatorFacts& facts, const CallStats& calls, const State& state);

}  // namespace muster::coordinator
