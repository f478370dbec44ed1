#include "coordinator/peer_link.h"

#include "base/kj_time.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

// A host that vanished leaves its connection open; after this a new one is tried.
constexpr Duration ANSWER_DEADLINE = 2_s;
constexpr BackoffPolicy RECONNECT{50_ms, 1_s};

LogPosition decodePosition(schema::Position::Reader in) {
  LogPosition position;
  position.batch = {in.getBatch()};
  position.index = {in.getIndex()};
  position.chain = decode(in.getChain());
  position.epoch = {in.getEpoch()};
  return position;
}

}  // namespace

PeerLink::PeerLink(CoordinatorEnvironment environment, PeerAddress peer,
                   std::function<void()> changed)
    : environment_(environment),
      peer_(kj::mv(peer)),
      changed_(kj::mv(changed)),
      backoff_(RECONNECT, environment.random) {}

Co<void> PeerLink::runCo() {
  for (;;) {
    kj::Maybe<kj::Exception> failure;
    try {
      co_await serve();
    } catch (const kj::Exception& exception) {
      failure = exception;
    }
    bool wasConnected = hearing_.connectedTo.has_value();
    client_ = nullptr;
    KJ_IF_MAYBE (why, failure) {
      ended(*why, wasConnected);
    }
    // After a break the next attempt is made at once: it tells a dead process from a bad line.
    if (wasConnected) continue;
    co_await environment_.timer.afterDelay(toKj(backoff_.next()));
  }
}

void PeerLink::ended(const kj::Exception& why, bool wasConnected) {
  if (wasConnected) {
    hearing_.broke();
  } else if (nobodyListens(why)) {
    hearing_.nobodyAnswered();
  }
  std::string problem = why.getDescription().cStr();
  if (wasConnected || problem != problem_) {
    environment_.logger.info(wasConnected ? "connection to a peer lost" : "a peer is not reached",
                             {{"peer", peer_.id}, {"address", peer_.address}, {"why", problem}});
  }
  problem_ = problem;
  changed_();
}

// One connection, from dialling to its end, which is always an exception.
Co<void> PeerLink::serve() {
  auto connection = co_await connectRpc(environment_.transport, environment_.timer, peer_.address,
                                        Role::COORDINATOR);
  KJ_REQUIRE(connection->peer().name == peer_.id.value, "another coordinator answers there",
             connection->peer().name.c_str());
  schema::Peer::Client client =
      connection->bootstrap<schema::Gate>().peerRequest().send().getPeer();
  client_ = client;
  auto broken = connection->onDisconnect().then(
      [] { kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the peer hung up")); });
  co_await beat(client).asPromise().exclusiveJoin(kj::mv(broken));
}

Co<void> PeerLink::beat(schema::Peer::Client client) {
  for (;;) {
    SteadyTime sentAt = environment_.clock.steadyNow();
    kj::Promise<capnp::Response<schema::Peer::HeartbeatResults>> sent =
        client.heartbeatRequest().send();
    auto response = co_await withDeadline(environment_.timer, ANSWER_DEADLINE,
                                          "a heartbeat of " + peer_.id.value, kj::mv(sent));
    hearing_.answered(decodeHeartbeat(response.getState()), sentAt);
    backoff_.reset();
    problem_.clear();
    for (auto& [since, waiter] : waiting_) {
      if (sentAt >= since) waiter->fulfill();
    }
    std::erase_if(waiting_, [sentAt](const auto& entry) { return sentAt >= entry.first; });
    changed_();
    auto hurry = kj::newPromiseAndFulfiller<void>();
    hurry_ = kj::mv(hurry.fulfiller);
    Duration left = sentAt + failover::PEER_HEARTBEAT - environment_.clock.steadyNow();
    co_await environment_.timer.afterDelay(toKj(std::max(left, Duration{1'000'000})))
        .exclusiveJoin(kj::mv(hurry.promise));
  }
}

kj::Promise<void> PeerLink::hearNow(Duration deadline) {
  auto heard = kj::newPromiseAndFulfiller<void>();
  waiting_.emplace_back(environment_.clock.steadyNow(), kj::mv(heard.fulfiller));
  KJ_IF_MAYBE (hurry, hurry_) {
    (*hurry)->fulfill();
  }
  auto late = environment_.timer.afterDelay(toKj(deadline));
  return heard.promise.catch_([](kj::Exception&&) {}).exclusiveJoin(kj::mv(late));
}

kj::Promise<bool> PeerLink::suspects(const failover::LeaderInLine& leader, Duration deadline) {
  KJ_IF_MAYBE (client, client_) {
    auto request = client->suspectsRequest();
    encodeLeader(leader, request.initLeader());
    kj::Promise<bool> answer =
        request.send()
            .then([](capnp::Response<schema::Peer::SuspectsResults>&& response) {
              return response.getSuspects();
            })
            .catch_([](kj::Exception&&) { return false; });
    auto late = environment_.timer.afterDelay(toKj(deadline)).then([] { return false; });
    return answer.exclusiveJoin(kj::mv(late));
  }
  return false;
}

kj::Promise<std::vector<ByteString>> PeerLink::batches(BatchNumber from, uint32_t countMax) {
  using Batches = std::vector<ByteString>;
  KJ_IF_MAYBE (client, client_) {
    auto request = client->batchesRequest();
    request.setFrom(from.value);
    request.setCountMax(countMax);
    kj::Promise<Batches> answer =
        request.send()
            .then([](capnp::Response<schema::Peer::BatchesResults>&& response) {
              Batches batches;
              for (auto one : response.getBatches()) {
                batches.emplace_back(reinterpret_cast<const char*>(one.begin()), one.size());
              }
              return batches;
            })
            .catch_([](kj::Exception&&) { return Batches(); });
    auto late = environment_.timer.afterDelay(toKj(ANSWER_DEADLINE)).then([] { return Batches(); });
    return answer.exclusiveJoin(kj::mv(late));
  }
  return Batches();
}

void PeerLink::tellDamaged(BatchNumber batch) {
  KJ_IF_MAYBE (client, client_) {
    auto request = client->damagedRequest();
    request.setBatch(batch.value);
    tasks_.add(request.send().ignoreResult());
  }
}

failover::Heartbeat decodeHeartbeat(schema::PeerState::Reader in) {
  return {decode(in.getIncarnation()),
          decode(in.getToken()),
          in.getServing(),
          Duration{int64_t{in.getCheckAgeMs()} * 1'000'000},
          in.getConnected(),
          decode(in.getPosition().getHistory()),
          decodePosition(in.getPosition())};
}

void encodeLeader(const failover::LeaderInLine& leader, schema::Leader::Builder out) {
  out.setCoordinator(leader.id.value.c_str());
  encode(leader.incarnation, out.initIncarnation());
  encode(leader.token, out.initToken());
}

failover::LeaderInLine decodeLeader(schema::Leader::Reader in) {
  return {CoordinatorId{in.getCoordinator().cStr()}, decode(in.getIncarnation()),
          decode(in.getToken())};
}

}  // namespace muster::coordinator
