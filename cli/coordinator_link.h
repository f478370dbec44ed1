// One coordinator as the client sees it: a connection made when it is needed, and what it last said
// of itself.
#pragma once

#include "base/ids.h"
#include "base/rpc.h"
#include "base/transport.h"
#include "base/units.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/stage.h"

#include <cstdint>
#include <optional>
#include <string>

namespace muster::cli {

// What a coordinator's hello tells.
struct ServerFacts {
  ClusterName cluster;
  HistoryId history;
  Epoch epoch;
  CoordinatorId coordinator;
  Stage stage = Stage::STANDBY;
  std::string leaderAddress;  // empty: unknown
  Instant clusterTime;
  LogIndex applied;
  std::string version;
  std::string trouble;  // why it can change nothing; empty: all is well
};

class CoordinatorLink {
 public:
  // `transport` and `timer` must outlive this.
  CoordinatorLink(Transport& transport, kj::Timer& timer, std::string address)
      : transport_(transport), timer_(timer), address_(std::move(address)) {}

  // Dials when there is no connection. Throws as Transport::connect and an RPC do; OVERLOADED when
  // no answer comes in time. After a failure the next call dials again. One call at a time.
  kj::Promise<ServerFacts> hello();

  // Resolves when this coordinator knows a newer leadership than facts() tell, which are renewed
  // then: it says so on this connection by itself. Dials when there is no connection. Throws as
  // hello() does, and UNIMPLEMENTED when the coordinator tells no news. May be asked beside others.
  kj::Promise<void> news();

  // What clients may ask. Only after a hello that succeeded.
  schema::ClusterApi::Client api();

  // Closes the connection; calls in flight fail.
  void drop();

  const std::string& address() const { return address_; }
  const std::optional<ServerFacts>& facts() const { return facts_; }
  // Whether there is a connection on which it has told facts() a moment ago, and nothing has spoken
  // against them since.
  bool isFresh() const;
  void doubt() { heardAt_ = std::nullopt; }
  // For people: "co1 (127.0.0.1:7401) is standby", "127.0.0.1:7401: connection refused".
  std::string describe() const;
  void noteFailure(std::string text) { failure_ = std::move(text); }

 private:
  kj::Promise<void> connected();
  kj::Promise<void> follow();

  Transport& transport_;
  kj::Timer& timer_;
  std::string address_;
  std::string failure_ = "not asked yet";  // empty: it has answered
  bool asked_ = false;
  void heard(ServerFacts facts);

  std::optional<ServerFacts> facts_;
  std::optional<kj::TimePoint> heardAt_;
  kj::Maybe<kj::Own<RpcConnection>> connection_;
  bool broken_ = false;  // it is over, as who listened for news has seen; dialled anew when needed
  // Shared by who asks at the same time; goes on when nobody does any more. What was dropped may
  // still come, when somebody waits for it: it bears another number then.
  struct Shared {
    kj::ForkedPromise<void> promise;
    uint64_t number = 0;
    bool over = false;
  };
  static bool finish(kj::Own<Shared>& shared, uint64_t number);
  uint64_t shares_ = 0;
  kj::Own<Shared> dialling_;
  kj::Own<Shared> following_;
  kj::Maybe<schema::ClusterApi::Client> api_;
};

}  // namespace muster::cli
