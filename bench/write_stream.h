// A client that offers a write each millisecond to whoever leads, over the API, and hears of the
// first answer of a newer epoch. It holds connections to all coordinators and is told by them who
// leads, as the client library is.
#pragma once

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "base/rpc.h"
#include "base/tasks.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/stage.h"

#include <string>
#include <vector>

namespace muster::bench {

class WriteStream {
 public:
  // Writes to `node`, which must be registered. All borrowed.
  WriteStream(EventLoop& loop, Transport& transport, const std::vector<std::string>& addresses,
              std::string node);
  KJ_DISALLOW_COPY(WriteStream);

  uint64_t epoch() const { return epoch_; }         // highest that acknowledged a write
  SteadyTime epochSeen() const { return seenAt_; }  // when its first write was acknowledged
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t index() const { return index_; }  // highest that an answer rested on

  // Leaves `count` new records in the state, through the log, as fast as it goes: each write's
  // outcome is one, kept for ten minutes of the cluster's time. Resolves when all are acknowledged.
  kj::Promise<void> fill(uint64_t count);

 private:
  struct Member {
    std::string address;
    kj::Own<RpcConnection> connection;
    kj::Maybe<schema::ClusterApi::Client> api;
    uint64_t boot = 0;  // of the connection: what was asked before counts no more
    int64_t clusterTime = 0;
    SteadyTime clusterTimeAt;
    uint64_t waiting = 0;
  };

  kj::Promise<void> connect(size_t at);
  kj::Promise<void> serve(size_t at);
  kj::Promise<void> follow(size_t at, schema::Gate::Client gate, uint64_t epoch, bool serving);
  void heard(size_t at, schema::ServerInfo::Reader info);
  kj::Promise<void> offer();
  kj::Promise<void> pump(uint64_t until);
  void write(size_t at);
  void answer(size_t at, schema::Outcome::Reader outcome);

  EventLoop& loop_;
  Transport& transport_;
  std::string node_;
  SystemClock clock_;
  SystemRandom random_;
  std::vector<Member> members_;
  size_t target_ = 0;
  uint64_t servingEpoch_ = 0;
  bool filling_ = false;
  uint64_t offered_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t index_ = 0;
  uint64_t epoch_ = 0;
  SteadyTime seenAt_;
  Tasks tasks_;
};

}  // namespace muster::bench
