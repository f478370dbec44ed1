// What an agent shows of itself over HTTP.
#pragma once

#include "protocol/node.h"
#include "worker/agent.h"

#include <string>

namespace muster::worker {

// The metrics in Prometheus' text form; series are bounded by links, devices and phases.
std::string metricsText(const AgentStatus& status, const NodeInfo& node);

}  // namespace muster::worker
