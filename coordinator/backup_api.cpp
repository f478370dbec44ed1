#include "coordinator/backup_api.h"

#include "base/kj_time.h"
#include "coordinator/authorization.h"
#include "coordinator/objects/cluster.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

constexpr Duration HELD_AT_MOST = 600_s;  // an old view keeps what was overwritten since

Json backupObject(const BackupHeader& header) {
  return {{"version", 1},
          {"kind", "backup"},
          {"cluster", header.cluster.value},
          {"history", historyText(header.history)},
          {"index", header.position.index.value},
          {"coordinator", header.coordinator.value}};
}

Result<OpenedBackup> openHere(ApiContext& context, Freshness freshness) {
  Coordinator& coordinator = context.coordinator;
  if (!context.env().store.meta()) {
    return Refusal{RefusalCode::STORE_UNREACHABLE,
                   "coordinator " + coordinator.settings().id.value + " has no state yet"};
  }
  auto stream = kj::heap<BackupStream>(
      context.env().store.view(),
      BackupStream::Origin{coordinator.settings().id, coordinator.settings().version,
                           coordinator.state().schemaLevel, context.env().clock.wallNow()});
  Answer answer{toText(backupObject(stream->header())), stream->header().position.index};
  answer.stale = freshness == Freshness::STALE;
  if (answer.stale) answer.age = coordinator.age();
  return OpenedBackup{kj::mv(answer), kj::mv(stream)};
}

class BackupServer final : public Authorized<schema::Backup> {
 public:
  BackupServer(kj::Own<BackupStream> stream, const CoordinatorEnvironment& env,
               const PeerIdentity& caller)
      : Authorized(caller, env.logger),
        stream_(kj::mv(stream)),
        expiry_(env.timer.afterDelay(toKj(HELD_AT_MOST))
                    .then([this] { stream_ = nullptr; })
                    .eagerlyEvaluate(nullptr)) {}

  kj::Promise<void> read(ReadContext context) override {
    KJ_REQUIRE(stream_.get() != nullptr, "E0708 this backup took too long; ask for another");
    std::string bytes = stream_->next();
    auto out = context.getResults();
    out.setBytes({reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()});
    out.setIsLast(stream_->isOver());
    return kj::READY_NOW;
  }

 private:
  kj::Own<BackupStream> stream_;
  kj::Promise<void> expiry_;
};

}  // namespace

kj::Promise<Result<OpenedBackup>> openBackup(ApiContext& context, ApiCall call,
                                             Freshness freshness) {
  using Opened = Result<OpenedBackup>;
  if (freshness == Freshness::STALE) {
    return awaitIndex(context.coordinator, call.lastIndex)
        .then([&context](Result<Done> come) -> Opened {
          if (!come) return come.refusal();
          return openHere(context, Freshness::STALE);
        });
  }
  KJ_IF_MAYBE (driver, context.coordinator.driver()) {
    return driver->mayLeave(ReadMode::LINEARIZABLE).then([&context]() -> Opened {
      return openHere(context, Freshness::PROVEN);
    });
  }
  return Opened(context.coordinator.notLeader());
}

schema::Backup::Client serveBackup(kj::Own<BackupStream> stream, const CoordinatorEnvironment& env,
                                   const PeerIdentity& caller) {
  return kj::heap<BackupServer>(kj::mv(stream), env, caller);
}

}  // namespace muster::coordinator
