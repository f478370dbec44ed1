// How the other coordinators are, asked of them now.
#pragma once

#include "coordinator/environment.h"
#include "coordinator/objects/cluster.h"

#include <kj/async.h>

namespace muster::coordinator {

constexpr Duration PEER_DEADLINE = 500_ms;  // for one other coordinator to answer

// What a coordinator says of itself over a connection made for it; one that does not answer in time
// is not `reachable`. Never rejected. `environment` is used while the promise lives.
kj::Promise<CoordinatorView> askPeer(const CoordinatorEnvironment& environment,
                                     const PeerAddress& peer);

}  // namespace muster::coordinator
