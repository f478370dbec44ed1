// Our connection to one other coordinator: a heartbeat asked each 100 ms, and what was heard.
#pragma once

#include "base/backoff.h"
#include "base/clock.h"
#include "base/co.h"
#include "base/log.h"
#include "base/rpc.h"
#include "base/tasks.h"
#include "coordinator/environment.h"
#include "failover/death_rules.h"
#include "protocol/peer.capnp.h"

#include <kj/async.h>

namespace muster::coordinator {

class PeerLink {
 public:
  // `changed` is called after each answer, break and refusal. The environment is borrowed.
  PeerLink(CoordinatorEnvironment environment, PeerAddress peer, std::function<void()> changed);

  // Ends only when it is dropped.
  kj::Promise<void> run() { return runCo(); }

  const CoordinatorId& id() const { return peer_.id; }
  const failover::Hearing& hearing() const { return hearing_; }
  // Our own loop was late: silence until now proves nothing.
  void ownLoopWasLate() { hearing_.lateAt = environment_.clock.steadyNow(); }
  // Asks for a heartbeat at once. Resolves when one that was sent from now on was answered; gives
  // up after `deadline`.
  kj::Promise<void> hearNow(Duration deadline);
  // Batches that the peer keeps, from `from` on; none when it keeps none or does not answer.
  kj::Promise<std::vector<ByteString>> batches(BatchNumber from, uint32_t countMax);
  // Tells it that a record of the log is damaged.
  void tellDamaged(BatchNumber batch);
  // Whether the peer suspects this leader; false when it does not say so before `deadline`.
  kj::Promise<bool> suspects(const failover::LeaderInLine& leader, Duration deadline);

 private:
  Co<void> runCo();
  Co<void> serve();
  Co<void> beat(schema::Peer::Client client);
  void ended(const kj::Exception& why, bool wasConnected);

  CoordinatorEnvironment environment_;
  PeerAddress peer_;
  std::function<void()> changed_;
  failover::Hearing hearing_;
  Backoff backoff_;
  std::string problem_;
  kj::Maybe<schema::Peer::Client> client_;  // while connected
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> hurry_;
  std::vector<std::pair<SteadyTime, kj::Own<kj::PromiseFulfiller<void>>>> waiting_;
  Tasks tasks_{"telling a peer"};
};

failover::Heartbeat decodeHeartbeat(schema::PeerState::Reader in);
void encodeLeader(const failover::LeaderInLine& leader, schema::Leader::Builder out);
failover::LeaderInLine decodeLeader(schema::Leader::Reader in);

}  // namespace muster::coordinator
