#include "bench/write_stream.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::bench {
namespace {

constexpr auto OFFER_EVERY = 1 * kj::MILLISECONDS;
constexpr auto DIAL_AGAIN = 5 * kj::MILLISECONDS;
constexpr uint64_t WAITING_MAX = 64;
constexpr uint64_t FILLING_MAX = 2048;

}  // namespace

WriteStream::WriteStream(EventLoop& loop, Transport& transport,
                         const std::vector<std::string>& addresses, std::string node)
    : loop_(loop), transport_(transport), node_(std::move(node)), tasks_("write stream") {
  members_.resize(addresses.size());
  for (size_t i = 0; i < addresses.size(); i++) {
    members_[i].address = addresses[i];
    tasks_.add(connect(i));
  }
  tasks_.add(offer());
}

// Keeps a connection to one coordinator.
kj::Promise<void> WriteStream::connect(size_t at) {
  return connectRpc(transport_, loop_.timer(), members_[at].address, Role::COORDINATOR)
      .then([this, at](kj::Own<RpcConnection> connection) {
        members_[at].connection = kj::mv(connection);
        return serve(at);
      })
      .catch_([](kj::Exception&&) {})
      .then([this, at] {
        members_[at].api = nullptr;
        members_[at].boot++;
        members_[at].waiting = 0;
        return loop_.timer().afterDelay(DIAL_AGAIN);
      })
      .then([this, at] {
        members_[at].connection = nullptr;
        return connect(at);
      });
}

kj::Promise<void> WriteStream::serve(size_t at) {
  auto gate = members_[at].connection->bootstrap<schema::Gate>();
  members_[at].api = gate.apiRequest().send().getApi();
  auto broken = members_[at].connection->onDisconnect();
  return follow(at, kj::mv(gate), 0, false).exclusiveJoin(kj::mv(broken));
}

kj::Promise<void> WriteStream::follow(size_t at, schema::Gate::Client gate, uint64_t epoch,
                                      bool serving) {
  auto request = gate.followRequest();
  request.setEpoch(epoch);
  request.setServing(serving);
  return request.send().then([this, at, gate = kj::mv(gate)](auto&& response) mutable {
    auto info = response.getInfo();
    heard(at, info);
    return follow(at, kj::mv(gate), info.getEpoch(),
                  static_cast<Stage>(info.getStage()) == Stage::SERVING);
  });
}

void WriteStream::heard(size_t at, schema::ServerInfo::Reader info) {
  members_[at].clusterTime = info.getClusterTimeNs();
  members_[at].clusterTimeAt = clock_.steadyNow();
  bool serving = static_cast<Stage>(info.getStage()) == Stage::SERVING;
  if (!serving || info.getEpoch() <= servingEpoch_) return;
  servingEpoch_ = info.getEpoch();
  target_ = at;
  write(at);
}

kj::Promise<void> WriteStream::offer() {
  if (!filling_) write(target_);
  return loop_.timer().afterDelay(OFFER_EVERY).then([this] { return offer(); });
}

kj::Promise<void> WriteStream::fill(uint64_t count) {
  filling_ = true;
  return pump(acknowledged_ + count).then([this] { filling_ = false; });
}

kj::Promise<void> WriteStream::pump(uint64_t until) {
  if (acknowledged_ >= until) return kj::READY_NOW;
  for (uint64_t i = members_[target_].waiting; i < FILLING_MAX; i++) write(target_);
  return loop_.timer().afterDelay(OFFER_EVERY).then([this, until] { return pump(until); });
}

void WriteStream::write(size_t at) {
  Member& member = members_[at];
  if (member.waiting >= (filling_ ? FILLING_MAX : WAITING_MAX)) return;
  KJ_IF_MAYBE (api, member.api) {
    auto request = api->cordonRequest();
    Duration since = clock_.steadyNow() - member.clusterTimeAt;
    RequestId id{random_.guid(), {member.clusterTime + since.nanos}};
    encode(id, request.initHeader().initRequest());
    request.setNode(node_.c_str());
    request.setReason(std::to_string(++offered_).c_str());
    member.waiting++;
    auto answered = request.send().then([this, at, boot = member.boot](auto&& response) {
      if (members_[at].boot == boot) members_[at].waiting--;
      answer(at, response.getOutcome());
    });
    tasks_.add(answered.catch_([](kj::Exception&&) {}));
  }
}

void WriteStream::answer(size_t at, schema::Outcome::Reader outcome) {
  if (outcome.isRefusal()) return;  // by one that does not lead, or not yet
  acknowledged_++;
  index_ = std::max(index_, outcome.getIndex());
  if (outcome.getEpoch() <= epoch_) return;
  epoch_ = outcome.getEpoch();
  seenAt_ = clock_.steadyNow();
  target_ = at;
}

}  // namespace muster::bench
