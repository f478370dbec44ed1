#include "coordinator/serve.h"

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/files.h"
#include "base/http_server.h"
#include "base/kj_time.h"
#include "base/memory_keeper.h"
#include "base/random.h"
#include "base/reload.h"
#include "base/service_manager.h"
#include "base/tasks.h"
#include "base/version.h"
#include "coordinator/coordinator.h"
#include "coordinator/heap_need.h"
#include "coordinator/history_copier.h"
#include "coordinator/http_api.h"
#include "coordinator/leader_doubt.h"
#include "coordinator/rocks_store.h"
#include "coordinator/rpc_api.h"
#include "coordinator/store_format.h"
#include "failover/election.h"
#include "failover/zookeeper.h"

#include <kj/debug.h>

#include <cctype>
#include <cstdio>
#include <filesystem>
#include <sys/resource.h>

namespace muster::coordinator {
namespace {

constexpr Duration BOOTSTRAP_DEADLINE = 30_s;
constexpr int PRIORITY = -10;

// Work that keeps all cores busy must not make the others take us for dead. It needs a right that
// not everybody has (CAP_SYS_NICE); without it we are a process like any other.
void goFirst() { (void)setpriority(PRIO_PROCESS, 0, PRIORITY); }

Logger makeLogger(const CoordinatorConfig& config) {
  LogOptions options;
  options.level = config.logLevel;
  options.format = config.logFormat;
  return Logger(options).with({{"coordinator", config.id}});
}

std::vector<PeerAddress> othersOf(const CoordinatorConfig& config) {
  std::vector<PeerAddress> others = config.peers;
  std::erase_if(others, [&](const PeerAddress& peer) { return peer.id == config.id; });
  return others;
}

// Nothing when no HTTP port is configured. The certificate is that of the RPC port.
kj::Own<HttpServer> startHttp(const CoordinatorConfig& config, HttpApi& api, const Logger& logger,
                              Random& random) {
  if (config.httpListen.empty()) return {};
  HttpServerOptions options{.address = config.httpListen, .limits = {}, .tls = config.tls};
  auto started = HttpServer::start(
      kj::mv(options), [&api](HttpRequest request) { return api.handle(kj::mv(request)); }, logger,
      random);
  if (!started) {
    const Refusal& refusal = started.refusal();
    KJ_FAIL_REQUIRE((toText(refusal.code) + " " + refusal.text).c_str());
  }
  return kj::mv(*started);
}

void requireHeap(const std::string& server, Bytes heap, const HeapNeed& need) {
  auto refusal = judgeHeap(server, heap, need);
  if (!refusal) return;
  std::string text = refusal->text;
  for (const std::string& fix : refusal->fixes) text += "; " + fix;
  KJ_FAIL_REQUIRE(kj::str(toText(refusal->code).c_str(), " ", text.c_str()));
}

// Throws when a server is known to have too little for what we shall keep in it.
void checkHeap(EventLoop& loop, const CoordinatorConfig& config, Bytes records,
               const Logger& logger) {
  HeapNeed need = heapNeed(config.snapshots, records);
  if (config.zookeeperHeap.count > 0) {
    return requireHeap(config.zookeeperServers.front(), config.zookeeperHeap, need);
  }
  auto asked = kj::heapArrayBuilder<kj::Promise<kj::Maybe<Bytes>>>(config.zookeeperServers.size());
  for (const auto& server : config.zookeeperServers) {
    asked.add(askHeap(loop.network(), loop.timer(), server));
  }
  auto heaps = kj::joinPromises(asked.finish()).wait(loop.waitScope());
  for (size_t i = 0; i < heaps.size(); i++) {
    KJ_IF_MAYBE (heap, heaps[i]) {
      requireHeap(config.zookeeperServers[i], *heap, need);
    } else {
      logger.info("the heap of a ZooKeeper server is not known; give zookeeper.heap, or allow envi",
                  {{"server", config.zookeeperServers[i]}, {"needed_mib", need.heap.count >> 20}});
    }
  }
}

// The line of `systemctl status`.
std::string statusLine(Coordinator& coordinator) {
  const CoordinatorFacts& facts = coordinator.facts();
  std::string line = std::string(toText(facts.stage));
  if (coordinator.view()) line += ", epoch " + std::to_string(coordinator.view()->epoch.value);
  line += ", index " + std::to_string(facts.committedIndex.value);
  if (!facts.alarm.empty()) return line + "; " + facts.alarm;
  auto cutOff = coordinator.cutOff();
  return cutOff ? line + "; " + cutOff->text : line;
}

Co<Result<HistoryId>> bootstrapCo(failover::CoordinationSession& session, ClusterName cluster,
                                  Random& random) {
  while (session.state() == failover::SessionState::CONNECTING) co_await session.stateChanged();
  auto made = co_await failover::bootstrap(session, failover::Paths(cluster), cluster, random);
  session.close();
  while (session.state() != failover::SessionState::ENDED) co_await session.stateChanged();
  co_return kj::mv(made);
}

}  // namespace

void checkFiles(const CoordinatorConfig& config) {
  const std::pair<const char*, const std::string&> FILES[] = {
      {"zookeeper.digest_file", config.zookeeperDigestFile},
      {"tls.ca", config.tls.ca},
      {"tls.certificate", config.tls.certificate},
      {"tls.key", config.tls.key}};
  for (const auto& [key, path] : FILES) {
    auto content = readFile(path, 1_MiB);
    KJ_REQUIRE(content.ok(), kj::str(toText(content.refusal().code).c_str(), " ", key, ": ",
                                     content.refusal().text.c_str()));
  }
}

failover::ZookeeperOptions zookeeperOptions(const CoordinatorConfig& config) {
  auto secret = readFile(config.zookeeperDigestFile, 4_KiB);
  std::string digest = *secret;
  while (!digest.empty() && std::isspace(static_cast<unsigned char>(digest.back())))
    digest.pop_back();
  return {config.zookeeperServers, config.sessionTimeout, digest};
}

void makeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  KJ_REQUIRE(!error, "the folder cannot be made", path.c_str(), error.message().c_str());
}

int serve(const CoordinatorConfig& config) {
  checkFiles(config);
  ReloadSignal reloadSignal;
  MemoryKeeper memoryKeeper;  // a large state must not make our death harder to notice
  EventLoop loop(TerminationSignals::CAPTURE);
  Logger logger = makeLogger(config);
  SystemClock clock;
  SystemRandom random;
  makeFolder(config.storeDirectory());
  RocksStore store(config.storeDirectory(), StoreAccess::READ_WRITE, config.snapshots.keptEvents);
  checkHeap(loop, config, store.recordBytes(), logger);
  auto transport =
      makeReloadableTransport(loop.network(), loop.timer(), config.cluster, config.tls);
  failover::ZookeeperService zookeeper(loop, zookeeperOptions(config));
  CoordinatorEnvironment environment{loop.timer(), clock,      random, zookeeper,
                                     store,        *transport, logger};
  Coordinator coordinator(
      environment, {config.cluster, config.id, config.rpcListen, config.rpcAdvertised, VERSION,
                    config.peers, config.guessDeath, config.snapshots, config.raiseSchemaAfter});
  PlanBook plans;
  CallStats calls;
  ApiContext api{coordinator, plans, calls, config.peers};
  coordinator.serveApi(makeRpcApi(api, store));
  std::string address = coordinator.start().wait(loop.waitScope());
  HttpApi http(api, ClientCertificates::REQUIRED);
  auto httpServer = startHttp(config, http, logger, random);
  logger.info("ready", {{"rpc", address},
                        {"http_port", httpServer.get() == nullptr ? 0 : httpServer->port()},
                        {"version", VERSION}});
  ServiceManager manager = ServiceManager::fromEnvironment();
  CertificateReload certificates(config.tls, *transport, httpServer.get(), manager, logger);
  auto reloading = reloadSignal.onEach(loop, [&] { certificates.run(); }).eagerlyEvaluate(nullptr);
  manager.ready();
  auto telling = manager.keepTelling(loop.timer(), [&] { return statusLine(coordinator); })
                     .eagerlyEvaluate(nullptr);
  auto terminated = loop.onTermination().then([&](int signal) {
    logger.info("stopping", {{"signal", signal}});
    manager.stopping();
    return coordinator.shutDown();
  });
  HistoryCopier history({environment, store, othersOf(config), config.snapshots.keptEvents});
  LeaderDoubt doubt(coordinator, config.peers);
  Tasks background("background work");
  background.add(history.run());
  background.add(doubt.run());
  goFirst();  // this thread alone: those of the store and of HTTP are there already
  coordinator.run().exclusiveJoin(kj::mv(terminated)).wait(loop.waitScope());
  logger.info("stopped");
  return 0;
}

int bootstrapCluster(const CoordinatorConfig& config) {
  checkFiles(config);
  EventLoop loop;
  SystemRandom random;
  failover::ZookeeperService zookeeper(loop, zookeeperOptions(config));
  auto session = zookeeper.open();
  auto made =
      withDeadline(loop.timer(), BOOTSTRAP_DEADLINE, "E0705 reaching the coordination service",
                   bootstrapCo(*session, config.cluster, random).asPromise())
          .wait(loop.waitScope());
  if (made) {
    std::printf("cluster %s is bootstrapped: history %llu-%s\n", config.cluster.value.c_str(),
                static_cast<unsigned long long>(made->number), toText(made->guid).c_str());
    return 0;
  }
  if (made.refusal().code != RefusalCode::ALREADY_RUNNING) {
    KJ_FAIL_REQUIRE(kj::str(toText(made.refusal().code).c_str(), " ", made.refusal().text.c_str()));
  }
  std::printf("cluster %s was bootstrapped before; nothing was changed\n",
              config.cluster.value.c_str());
  return 0;
}

int printStore(const std::string& directory) {
  bool isDataDirectory = std::filesystem::is_directory(directory + "/store");
  RocksStore store(isDataDirectory ? directory + "/store" : directory, StoreAccess::READ_ONLY);
  store.loadAudit([](const AuditEntry& entry) { std::printf("%s\n", auditJson(entry).c_str()); });
  return 0;
}

}  // namespace muster::coordinator
