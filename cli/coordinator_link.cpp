#include "cli/coordinator_link.h"

#include "base/co.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::cli {
namespace {

// A coordinator that is alive answers a hello at once.
constexpr auto HELLO_DEADLINE = 2 * kj::SECONDS;

ServerFacts toFacts(schema::ServerInfo::Reader info) {
  return {.cluster = ClusterName{info.getCluster()},
          .history = decode(info.getHistory()),
          .epoch = {info.getEpoch()},
          .coordinator = CoordinatorId{info.getCoordinator()},
          .stage = static_cast<Stage>(std::min<uint8_t>(info.getStage(), 3)),
          .leaderAddress = info.getLeaderAddress(),
          .clusterTime = {info.getClusterTimeNs()},
          .applied = {info.getAppliedIndex()},
          .version = info.getVersion()};
}

kj::Promise<ServerFacts> ask(RpcConnection& connection, kj::Timer& timer) {
  auto request = connection.bootstrap<schema::Gate>().helloRequest();
  return timer.timeoutAfter(HELLO_DEADLINE, request.send().then([](auto&& response) {
    return toFacts(response.getInfo());
  }));
}

}  // namespace

kj::Promise<ServerFacts> CoordinatorLink::hello() {
  if (!asked_) failure_ = "does not answer";
  asked_ = true;
  kj::Promise<void> ready = kj::READY_NOW;
  if (connection_ == nullptr) {
    ready =
        connectRpc(transport_, timer_, address_, Role::COORDINATOR)
            .then([this](kj::Own<RpcConnection> connection) { connection_ = kj::mv(connection); });
  }
  return ready.then([this] { return ask(*KJ_ASSERT_NONNULL(connection_), timer_); })
      .then(
          [this](ServerFacts facts) {
            facts_ = facts;
            failure_.clear();
            return facts;
          },
          [this](kj::Exception&& exception) -> ServerFacts {
            drop();
            failure_ = exception.getDescription().cStr();
            kj::throwFatalException(kj::mv(exception));
          });
}

schema::ClusterApi::Client CoordinatorLink::api() {
  if (api_ == nullptr) {
    auto gate = KJ_REQUIRE_NONNULL(connection_, "no connection", address_.c_str())
                    ->bootstrap<schema::Gate>();
    api_ = gate.apiRequest().send().getApi();
  }
  return KJ_ASSERT_NONNULL(api_);
}

void CoordinatorLink::drop() {
  api_ = nullptr;
  connection_ = nullptr;
}

std::string CoordinatorLink::describe() const {
  if (!failure_.empty() || !facts_) return address_ + ": " + failure_;
  return facts_->coordinator.value + " (" + address_ + ") is " + std::string(toText(facts_->stage));
}

}  // namespace muster::cli
