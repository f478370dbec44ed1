// A client that offers a write each millisecond to whoever leads, over the API, and hears of the
// first answer of a newer epoch.
#pragma once

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "base/rpc.h"
#include "base/tasks.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"

#include <string>
#include <vector>

namespace muster::bench {

class WriteStream {
 public:
  // Writes to `node`, which must be registered. All borrowed.
  WriteStream(EventLoop& loop, Transport& transport, std::vector<std::string> addresses,
              std::string node)
      : loop_(loop), transport_(transport), node_(std::move(node)), tasks_("write stream") {
    for (auto& address : addresses) members_.push_back({std::move(address)});
    for (size_t i = 0; i < members_.size(); i++) tasks_.add(connect(i));
    tasks_.add(offer());
  }

  uint64_t epoch() const { return epoch_; }       // highest that acknowledged a write
  WallTime epochSeen() const { return seenAt_; }  // when its first write was acknowledged
  SteadyTime epochSeenSteady() const { return seenSteady_; }
  uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Member {
    std::string address;
    kj::Own<RpcConnection> connection;
    kj::Maybe<schema::ClusterApi::Client> api;
    uint64_t clusterTime = 0;
    uint64_t waiting = 0;
  };
  static constexpr uint64_t WAITING_MAX = 32;

  // Keeps a connection to one coordinator.
  kj::Promise<void> connect(size_t at) {
    Member& member = members_[at];
    return connectRpc(transport_, loop_.timer(), member.address, Role::COORDINATOR)
        .then([this, &member](kj::Own<RpcConnection> connection) {
          member.connection = kj::mv(connection);
          auto gate = member.connection->bootstrap<schema::Gate>();
          return gate.helloRequest().send().then([this, &member, gate](auto&& hello) mutable {
            member.clusterTime = static_cast<uint64_t>(hello.getInfo().getClusterTimeNs());
            member.api = gate.apiRequest().send().getApi();
            return member.connection->onDisconnect();
          });
        })
        .catch_([](kj::Exception&&) {})
        .then([this, &member] {
          member.api = nullptr;
          member.waiting = 0;
          return loop_.timer().afterDelay(5 * kj::MILLISECONDS);
        })
        .then([this, at] {
          members_[at].connection = nullptr;
          return connect(at);
        });
  }

  kj::Promise<void> offer() {
    for (size_t tried = 0; tried < members_.size(); tried++) {
      if (members_[target_].api != nullptr) break;
      target_ = (target_ + 1) % members_.size();
    }
    write(target_);
    return loop_.timer().afterDelay(1 * kj::MILLISECONDS).then([this] { return offer(); });
  }

  void write(size_t at) {
    Member& member = members_[at];
    KJ_IF_MAYBE (api, member.api) {
      if (member.waiting >= WAITING_MAX) return;
      auto request = api->cordonRequest();
      RequestId id{random_.guid(), {static_cast<int64_t>(member.clusterTime)}};
      encode(id, request.initHeader().initRequest());
      request.setNode(node_.c_str());
      request.setReason(std::to_string(++offered_).c_str());
      member.waiting++;
      auto answered = request.send().then([this, at](auto&& response) {
        if (members_[at].waiting > 0) members_[at].waiting--;
        answer(at, response.getOutcome());
      });
      tasks_.add(answered.catch_([](kj::Exception&&) {}));
    }
  }

  void answer(size_t at, schema::Outcome::Reader outcome) {
    if (outcome.isRefusal()) {
      if (target_ == at) target_ = (at + 1) % members_.size();
      return;
    }
    target_ = at;
    acknowledged_++;
    if (outcome.getEpoch() <= epoch_) return;
    epoch_ = outcome.getEpoch();
    seenSteady_ = clock_.steadyNow();
    seenAt_ = clock_.wallNow();
  }

  EventLoop& loop_;
  Transport& transport_;
  std::string node_;
  SystemClock clock_;
  SystemRandom random_;
  std::vector<Member> members_;
  size_t target_ = 0;
  uint64_t offered_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t epoch_ = 0;
  WallTime seenAt_;
  SteadyTime seenSteady_;
  Tasks tasks_;
};

}  // namespace muster::bench
