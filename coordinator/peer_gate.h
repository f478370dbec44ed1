// The door for the other coordinators.
#pragma once

#include "coordinator/authorization.h"
#include "failover/death_rules.h"
#include "protocol/peer.capnp.h"

#include <functional>
#include <optional>

namespace muster::coordinator {

struct PeerGateParts {
  std::function<void(schema::PeerState::Builder)> describe;
  std::function<bool(const failover::LeaderInLine&)> suspects;
  std::function<std::optional<ByteString>(BatchNumber)> batch;
  std::function<void(BatchNumber)> damaged;
};

// The capability for one peer's connection.
schema::Peer::Client makePeerGate(PeerIdentity caller, Logger logger, PeerGateParts parts);

}  // namespace muster::coordinator
