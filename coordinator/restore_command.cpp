#include "coordinator/restore_command.h"

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "coordinator/backup_restore.h"
#include "coordinator/objects/cluster.h"
#include "coordinator/rocks_store.h"
#include "coordinator/serve.h"
#include "failover/zookeeper.h"

#include <kj/debug.h>

#include <cstdio>

namespace muster::coordinator {
namespace {

constexpr Duration RESTORE_DEADLINE = 1800_s;  // a gigabyte of state takes some minutes

[[noreturn]] void refuse(const Refusal& refusal) {
  KJ_FAIL_REQUIRE(kj::str(toText(refusal.code).c_str(), " ", refusal.text.c_str()));
}

template <class T>
T orRefuse(Result<T> result) {
  if (!result) refuse(result.refusal());
  return kj::mv(*result);
}

void requireConfirmed(const CoordinatorConfig& config, const RestoreRequest& request) {
  if (request.confirmedCluster == config.cluster.value) return;
  refuse({RefusalCode::INVALID_VALUE,
          "a restore replaces the state of cluster " + config.cluster.value +
              ": confirm it with --yes-cluster " + config.cluster.value +
              (request.confirmedCluster.empty() ? "" : ", not " + request.confirmedCluster)});
}

}  // namespace

int restoreCluster(const CoordinatorConfig& config, const RestoreRequest& request) {
  requireConfirmed(config, request);
  checkFiles(config);
  EventLoop loop;
  SystemClock clock;
  SystemRandom random;
  makeFolder(config.storeDirectory());
  RocksStore store(config.storeDirectory(), StoreAccess::READ_WRITE);
  auto source = orRefuse(request.backupFile.empty() ? openStoreAsSource(store, config.id)
                                                    : openBackupFile(request.backupFile));
  failover::ZookeeperService zookeeper(loop, zookeeperOptions(config));
  auto session = zookeeper.open();
  HistoryRestoreParts parts{*session,       loop.timer(), random,
                            config.cluster, config.id,    clock.wallNow()};
  auto restored = orRefuse(withDeadline(loop.timer(), RESTORE_DEADLINE, "E0708 the restore",
                                        restoreHistory(kj::mv(parts), *source))
                               .wait(loop.waitScope()));
  fillStore(store, *source, restored.meta);
  std::printf("cluster %s is restored as of index %llu: history %s, state hash %s\n",
              config.cluster.value.c_str(),
              static_cast<unsigned long long>(restored.meta.applied.index.value),
              historyText(restored.meta.history).c_str(), toText(restored.stateHash).c_str());
  return 0;
}

}  // namespace muster::coordinator
