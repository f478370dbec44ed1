// The API of whoever leads, for a client of ours: calls on it are answered as over the RPC port.
#pragma once

#include "base/rpc.h"
#include "coordinator/api.h"
#include "protocol/coordinator.capnp.h"

#include <kj/async.h>

#include <string>

namespace muster::coordinator {

struct LeaderApi {
  schema::ClusterApi::Client api;
  kj::Own<RpcConnection> connection;  // it goes over; nothing when we lead
};

// Another leader is dialled anew; it looks up what `caller`, who came from `address`, may do.
// Refuses as Coordinator::notLeader() while nobody leads, and NO_LEADER when the leader is not
// reached within a second.
kj::Promise<Result<LeaderApi>> reachLeader(ApiContext& context, PeerIdentity caller,
                                           std::string address);

}  // namespace muster::coordinator
