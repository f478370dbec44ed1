// Asks a local cluster how far it is, with the admin's certificate: who leads, who serves, which
// workers are there.
#pragma once

#include "base/event_loop.h"
#include "base/transport.h"
#include "cli/local_cluster/layout.h"
#include "cli/local_cluster/local_plan.h"

#include <kj/async.h>

#include <string>
#include <vector>

namespace muster::cli {

struct ClusterProgress {
  uint32_t coordinatorsUp = 0;              // answer
  std::string leader;                       // that serves; empty: none yet
  std::vector<std::string> missingWorkers;  // not attached and Ready yet
  uint32_t gatewaysReady = 0;               // have heard a coordinator
  bool complete(const LocalPlan& plan) const {
    return coordinatorsUp == plan.coordinators.size() && !leader.empty() &&
           missingWorkers.empty() && gatewaysReady == plan.gateways.size();
  }
};

// Never throws for what does not answer. Each connection has a short deadline.
kj::Promise<ClusterProgress> probeCluster(EventLoop& loop, Transport& transport,
                                          const LocalPlan& plan);

// "2 of 3 coordinators, no leader yet, waiting for w1, w2"
std::string toText(const ClusterProgress& progress, const LocalPlan& plan);

}  // namespace muster::cli
