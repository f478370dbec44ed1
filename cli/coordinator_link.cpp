#include "cli/coordinator_link.h"

#include "base/co.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::cli {
namespace {

// A coordinator that is alive answers a hello at once.
constexpr auto HELLO_DEADLINE = 2 * kj::SECONDS;
// Within which a coordinator that leads need not be asked again whether it does: it would refuse.
constexpr auto FRESH_FOR = 1 * kj::SECONDS;
constexpr uint64_t MENTIONED_FROM_MS = 1000;

std::string troubleOf(schema::ServerInfo::Reader info) {
  for (auto alarm : info.getAlarms()) return alarm.getText();
  if (info.getCutOffMs() < MENTIONED_FROM_MS) return "";
  return "has not reached ZooKeeper for " + std::to_string(info.getCutOffMs() / 1000) + " s";
}

ServerFacts toFacts(schema::ServerInfo::Reader info) {
  return {.cluster = ClusterName{info.getCluster()},
          .history = decode(info.getHistory()),
          .epoch = {info.getEpoch()},
          .coordinator = CoordinatorId{info.getCoordinator()},
          .stage = static_cast<Stage>(std::min<uint8_t>(info.getStage(), 3)),
          .leaderAddress = info.getLeaderAddress(),
          .clusterTime = {info.getClusterTimeNs()},
          .applied = {info.getAppliedIndex()},
          .version = info.getVersion(),
          .trouble = troubleOf(info)};
}

kj::Promise<ServerFacts> ask(RpcConnection& connection, kj::Timer& timer) {
  auto request = connection.bootstrap<schema::Gate>().helloRequest();
  return timer.timeoutAfter(HELLO_DEADLINE, request.send().then([](auto&& response) {
    return toFacts(response.getInfo());
  }));
}

[[noreturn]] void throwDropped() {
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the connection was dropped"));
  KJ_UNREACHABLE;
}

}  // namespace

kj::Promise<ServerFacts> CoordinatorLink::hello() {
  if (!asked_) failure_ = "does not answer";
  asked_ = true;
  return connected()
      .then([this] {
        if (connection_ == nullptr) throwDropped();
        return ask(*KJ_ASSERT_NONNULL(connection_), timer_);
      })
      .then(
          [this](ServerFacts facts) {
            heard(facts);
            failure_.clear();
            return facts;
          },
          [this](kj::Exception&& exception) -> ServerFacts {
            drop();
            failure_ = exception.getDescription().cStr();
            kj::throwFatalException(kj::mv(exception));
          });
}

// Notes that it is over. False when it was dropped before.
bool CoordinatorLink::finish(kj::Own<Shared>& shared, uint64_t number) {
  if (shared.get() == nullptr || shared->number != number) return false;
  shared->over = true;
  return true;
}

// The attempt of whoever asked first; it goes on although that one gives up.
kj::Promise<void> CoordinatorLink::connected() {
  if (broken_) drop();
  if (connection_ != nullptr) return kj::READY_NOW;
  if (dialling_.get() == nullptr || dialling_->over) {
    uint64_t number = ++shares_;
    auto dialled = connectRpc(transport_, timer_, address_, Role::COORDINATOR)
                       .then(
                           [this, number](kj::Own<RpcConnection> connection) {
                             if (finish(dialling_, number)) {
                               connection_ = kj::mv(connection);
                             } else {
                               throwDropped();
                             }
                           },
                           [this, number](kj::Exception&& exception) {
                             finish(dialling_, number);
                             kj::throwFatalException(kj::mv(exception));
                           });
    dialling_ = kj::heap<Shared>(Shared{dialled.fork(), number});
  }
  return dialling_->promise.addBranch();
}

kj::Promise<void> CoordinatorLink::news() {
  return connected().then([this] { return follow(); });
}

kj::Promise<void> CoordinatorLink::follow() {
  if (following_.get() != nullptr && !following_->over) return following_->promise.addBranch();
  if (connection_ == nullptr) throwDropped();
  uint64_t number = ++shares_;
  auto request = KJ_ASSERT_NONNULL(connection_)->bootstrap<schema::Gate>().followRequest();
  if (facts_) {
    request.setEpoch(facts_->epoch.value);
    request.setServing(facts_->stage == Stage::SERVING);
  }
  auto told = request.send().then(
      [this, number](capnp::Response<schema::Gate::FollowResults>&& response) {
        if (finish(following_, number)) heard(toFacts(response.getInfo()));
      },
      [this, number](kj::Exception&& exception) {
        bool isOurs = finish(following_, number);
        if (isOurs && exception.getType() == kj::Exception::Type::DISCONNECTED) broken_ = true;
        kj::throwFatalException(kj::mv(exception));
      });
  following_ = kj::heap<Shared>(Shared{told.fork(), number});
  return following_->promise.addBranch();
}

schema::ClusterApi::Client CoordinatorLink::api() {
  if (api_ == nullptr) {
    auto gate = KJ_REQUIRE_NONNULL(connection_, "no connection", address_.c_str())
                    ->bootstrap<schema::Gate>();
    api_ = gate.apiRequest().send().getApi();
  }
  return KJ_ASSERT_NONNULL(api_);
}

void CoordinatorLink::heard(ServerFacts facts) {
  facts_ = std::move(facts);
  heardAt_ = timer_.now();
}

bool CoordinatorLink::isFresh() const {
  return connection_ != nullptr && !broken_ && heardAt_ && timer_.now() - *heardAt_ < FRESH_FOR;
}

void CoordinatorLink::drop() {
  api_ = nullptr;
  following_ = nullptr;
  dialling_ = nullptr;
  connection_ = nullptr;
  broken_ = false;
}

std::string CoordinatorLink::describe() const {
  if (!failure_.empty() || !facts_) return address_ + ": " + failure_;
  std::string said =
      facts_->coordinator.value + " (" + address_ + ") is " + std::string(toText(facts_->stage));
  return facts_->trouble.empty() ? said : said + ": " + facts_->trouble;
}

}  // namespace muster::cli
