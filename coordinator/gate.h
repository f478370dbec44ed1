// The first capability that a caller of a coordinator's RPC port gets: it says who we are and hands
// out the others.
#pragma once

#include "coordinator/authorization.h"
#include "coordinator/leadership_news.h"
#include "coordinator/peer_gate.h"
#include "coordinator/worker_gate.h"
#include "protocol/coordinator.capnp.h"

#include <functional>

namespace muster::coordinator {

// Makes the capability for clients; it knows its caller's certificate.
using ApiFactory = std::function<schema::ClusterApi::Client(const RpcPeer&)>;

struct GateParts {
  std::function<void(schema::ServerInfo::Builder)> describe;
  ApiFactory makeApi;  // empty: this coordinator serves workers only
  WorkerGateParts worker;
  PeerGateParts peer;
  // Empty: nobody is told of changes, whoever wants to know asks again.
  std::function<kj::Promise<void>(LeadershipNews::Said, Audience)> news = {};
};

schema::Gate::Client makeGate(const RpcPeer& peer, GateParts parts);

}  // namespace muster::coordinator
