#include "worker/serve.h"

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/files.h"
#include "base/http_server.h"
#include "base/pki.h"
#include "base/process.h"
#include "base/random.h"
#include "base/reload.h"
#include "base/service_manager.h"
#include "base/tls_transport.h"
#include "base/version.h"
#include "worker/agent.h"
#include "worker/data_lock.h"
#include "worker/gpu/gpu_watch.h"
#include "worker/metrics.h"
#include "worker/model_roots.h"
#include "worker/order_store.h"
#include "worker/rank_scope.h"
#include "worker/rank_set.h"
#include "worker/threaded_inspection.h"
#include "worker/weight_server.h"

#include <kj/debug.h>

#include <filesystem>

namespace muster::worker {
namespace {

std::string rankBinary(const WorkerConfig& config) {
  if (!config.rankBinary.empty()) return config.rankBinary;
  auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path() / "muster-rank").string();
}

Logger makeLogger(const WorkerConfig& config) {
  LogOptions options;
  options.level = config.logLevel;
  options.format = config.logFormat;
  return Logger(options).with({{"node", config.node.name}});
}

HttpResponse plain(int status, std::string body) {
  return {.status = status, .contentType = "text/plain; version=0.0.4", .body = std::move(body)};
}

HttpResponse answer(const HttpRequest& request, const Agent& agent) {
  if (request.path == "/healthz") return plain(200, "ok\n");
  if (!request.peerIdentity || !includes(request.peerIdentity->role, Role::VIEWER)) {
    return problemResponse(
        {RefusalCode::NOT_AUTHENTICATED, "a client certificate of role viewer or above is needed"},
        request.requestId);
  }
  if (request.path == "/metrics") return plain(200, metricsText(agent.status(), agent.node()));
  return problemResponse({RefusalCode::NOT_FOUND, "there is nothing at " + request.path},
                         request.requestId);
}

// What OpenSSL says of a missing file helps nobody.
Result<Done> checkTlsFiles(const TlsFiles& tls) {
  for (const auto& [key, path] :
       {std::pair{"tls.ca", tls.ca}, {"tls.certificate", tls.certificate}, {"tls.key", tls.key}}) {
    auto content = readFile(path, 1_MiB);
    if (content) continue;
    return Refusal{content.refusal().code, std::string(key) + ": " + content.refusal().text};
  }
  return Done{};
}

// For a rank, which runs in another folder than its agent.
TlsFiles absolutePaths(const TlsFiles& tls) {
  auto absolute = [](const std::string& path) { return std::filesystem::absolute(path).string(); };
  return {absolute(tls.ca), absolute(tls.certificate), absolute(tls.key)};
}

// The agent is made after the ranks that ask it.
class LateDirectory final : public WeightDirectory {
 public:
  void set(WeightDirectory& directory) { directory_ = directory; }
  kj::Promise<Result<WeightSources>> find(RankRef rank) override {
    KJ_IF_MAYBE (directory, directory_) return directory->find(rank);
    return Result<WeightSources>(Refusal{RefusalCode::NO_LEADER, "the agent is only starting"});
  }

 private:
  kj::Maybe<WeightDirectory&> directory_;
};

// As other nodes reach a port of ours.
std::string reachedAt(const std::string& host, const std::string& listening) {
  std::string port = listening.substr(listening.rfind(':') + 1);
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

// Everything of a running worker, in the order in which it must be taken down, last first.
struct Machine {
  ReloadSignal reloadSignal;
  EventLoop loop{TerminationSignals::CAPTURE};
  SystemClock clock;
  SystemRandom random;
  Logger logger;
  NodeInfo node;
  kj::Own<ProcessRunner> processes = makeProcessRunner(loop);
  kj::Own<ProcessRunner> rankProcesses = makeScopedRunner(*processes);
  kj::Own<ReloadableTransport> transport;
  kj::Own<OrderStore> orders;
  kj::Own<ThreadedInspection> inspection;
  kj::Own<WeightServer> weights;
  LateDirectory directory;
  kj::Own<RankEnvironment> rankEnvironment;
  kj::Own<Ranks> ranks;
  kj::Own<Agent> agent;
  kj::Own<GpuWatch> gpuWatch;
  kj::Own<HttpServer> http;

  explicit Machine(const WorkerConfig& config) : logger(makeLogger(config)), node(config.node) {
    node.version = VERSION;
    orders = makeFileOrderStore(config.orderFile());
    inspection = kj::heap<ThreadedInspection>(loop.timer(),
                                              lookBelow(ModelRoots(config.modelRoots), node.name));
    rankEnvironment = kj::heap<RankEnvironment>(RankEnvironment{
        loop.timer(), clock, random, loop.network(), *rankProcesses, *inspection, logger,
        rankBinary(config), config.modelRoots, node.address, absolutePaths(config.tls),
        node.devices, config.cluster, &directory, config.weightCache, config.weightCacheMax});
    ranks = makeRanks(*rankEnvironment, config.dataDirectory);
  }

  Result<Done> start(const WorkerConfig& config, std::shared_ptr<GpuDriver> gpus) {
    auto identified = readIdentity(config);
    if (!identified) return identified.refusal();
    auto serving = serveWeights(config);
    if (!serving) return serving;
    auto started = Agent::start(
        {loop.timer(), clock, random, *transport, *ranks, *inspection, *orders, logger},
        {config.cluster, node, config.coordinators, {}, weightAddress()});
    if (!started) return started.refusal();
    agent = kj::mv(*started);
    directory.set(*agent);
    if (gpus != nullptr) watch(std::move(gpus));
    return config.httpListen.empty() ? Result<Done>(Done{}) : startHttp(config);
  }

  void watch(std::shared_ptr<GpuDriver> gpus) {
    std::vector<DeviceIndex> all;
    for (const DeviceInfo& device : node.devices) all.push_back(device.index);
    gpuWatch = kj::heap<GpuWatch>(
        loop.timer(), std::move(gpus), std::move(all), unhealthyOf(node),
        [this](const GpuWatch::Troubles& troubles) {
          for (const auto& [gpu, why] : troubles) {
            logger.warn("a GPU is unhealthy", {{"gpu", gpu.value}, {"why", why}});
          }
          agent->takeHealth(troubles);
        });
  }

  // Coordinators would refuse another node's certificate with every attempt; here it is said once,
  // and clearly.
  Result<Done> readIdentity(const WorkerConfig& config) {
    auto readable = checkTlsFiles(config.tls);
    if (!readable) return readable;
    std::string wanted = commonName({Role::WORKER, config.node.name.value});
    std::string found;
    KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] {
                   transport =
                       makeReloadableTransport(loop.network(), loop.timer(), config.cluster,
                                               config.tls, {.handshakeDeadline = CONNECT_DEADLINE});
                   found = readCertificate(config.tls.certificate).commonName;
                 })) {
      return Refusal{RefusalCode::NOT_AUTHENTICATED, why->getDescription().cStr()};
    }
    if (found == wanted) return Done{};
    return Refusal{RefusalCode::NOT_AUTHENTICATED, "the certificate " + config.tls.certificate +
                                                       " is of " + found +
                                                       ", this agent needs one of " + wanted};
  }

  std::string weightAddress() const {
    return weights.get() == nullptr ? "" : reachedAt(node.address, weights->address());
  }

  Result<Done> serveWeights(const WorkerConfig& config) {
    if (config.weightListen.empty()) return Done{};
    weights = kj::heap<WeightServer>(
        WeightServer::Parts{loop.timer(), *inspection, config.modelRoots, logger});
    KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] {
                   weights->listen(*transport, config.weightListen).wait(loop.waitScope());
                 })) {
      return Refusal{RefusalCode::PORT_IN_USE,
                     "cannot listen on " + config.weightListen +
                         ", weights.listen: " + why->getDescription().cStr()};
    }
    return Done{};
  }

  Result<Done> startHttp(const WorkerConfig& config) {
    HttpServerOptions options{.address = config.httpListen, .tls = config.tls};
    auto handler = [this](const HttpRequest& request) -> kj::Promise<HttpResponse> {
      return answer(request, *agent);
    };
    auto started = HttpServer::start(kj::mv(options), kj::mv(handler), logger, random);
    if (!started) return started.refusal();
    http = kj::mv(*started);
    return Done{};
  }
};

// The line of `systemctl status`.
std::string statusLine(const AgentStatus& status) {
  size_t attached = 0;
  std::string leader = "none";
  for (const LinkStatus& link : status.links) {
    if (link.state == LinkState::ATTACHED) attached++;
    if (link.state == LinkState::ATTACHED && link.leading) leader = link.coordinator;
  }
  return "attached to " + std::to_string(attached) + " of " + std::to_string(status.links.size()) +
         " coordinators, leader " + leader + ", epoch " + std::to_string(status.token.epoch.value) +
         ", order " + std::to_string(status.order.index.value) + ", " +
         std::to_string(status.ranks.size()) + " ranks";
}

}  // namespace

Result<Done> serve(const WorkerConfig& config, std::shared_ptr<GpuDriver> gpus) {
  auto lock = lockDataDirectory(config.dataDirectory);
  if (!lock) return lock.refusal();
  Machine machine(config);
  auto started = machine.start(config, std::move(gpus));
  if (!started) return started.refusal();
  uint16_t httpPort = machine.http.get() == nullptr ? 0 : machine.http->port();
  machine.logger.info("ready", {{"version", VERSION},
                                {"coordinators", config.coordinators.size()},
                                {"devices", config.node.devices.size()},
                                {"gpu_driver", config.node.driver},
                                {"weights", machine.weightAddress()},
                                {"http_port", httpPort}});
  ServiceManager manager = ServiceManager::fromEnvironment();
  CertificateReload certificates(config.tls, *machine.transport, machine.http.get(), manager,
                                 machine.logger);
  auto reloading = machine.reloadSignal.onEach(machine.loop, [&] { certificates.run(); })
                       .eagerlyEvaluate(nullptr);
  manager.ready();
  auto telling =
      manager.keepTelling(machine.loop.timer(), [&] { return statusLine(machine.agent->status()); })
          .eagerlyEvaluate(nullptr);
  int signal = machine.loop.onTermination().wait(machine.loop.waitScope());
  manager.stopping();
  machine.logger.info("stopping; the ranks go on", {{"signal", signal}});
  return Done{};
}

Result<Done> stopRanks(const WorkerConfig& config) {
  auto lock = lockDataDirectory(config.dataDirectory);
  if (!lock) return lock.refusal();
  Machine machine(config);
  machine.ranks->restore({});  // none is wanted, so all that still run are stopped
  while (!machine.ranks->reports().empty()) {
    machine.ranks->changed().wait(machine.loop.waitScope());
  }
  return Done{};
}

}  // namespace muster::worker
