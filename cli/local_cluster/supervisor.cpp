#include "cli/local_cluster/supervisor.h"

#include "base/clock.h"
#include "base/co.h"
#include "base/kj_time.h"
#include "base/rpc.h"
#include "base/short_socket_path.h"
#include "base/unix_control.h"
#include "cli/local_cluster/children.h"
#include "protocol/supervisor.capnp.h"

#include <kj/debug.h>

#include <filesystem>
#include <string>
#include <unistd.h>

namespace muster::cli {
namespace {

constexpr Duration ZOOKEEPER_DEADLINE = 60_s;
constexpr Duration ZOOKEEPER_PROBE_DEADLINE =
    500_ms;  // a server that starts may take a connection and say nothing
constexpr Duration BOOTSTRAP_DEADLINE = 60_s;
constexpr Duration RANKS_DEADLINE = 60_s;
constexpr Duration PATIENCE = 10_s;

// Asked once at the start: a rebuilt or upgraded program takes the name away from the one that
// runs.
std::string ownFolder() { return std::filesystem::path(ownProgram()).parent_path().string(); }

class LocalSupervisor {
 public:
  LocalSupervisor(EventLoop& loop, std::string binFolder, LocalLayout layout, LocalPlan plan,
                  std::vector<ChildSpec> specs)
      : loop_(loop),
        runner_(makeProcessRunner(loop)),
        binFolder_(std::move(binFolder)),
        layout_(std::move(layout)),
        plan_(std::move(plan)),
        children_(loop, *runner_, log_, layout_, plan_, std::move(specs)) {}

  void adoptEarlier() {
    auto earlier = loadClusterFile(layout_.clusterFile());
    if (earlier && *earlier) children_.adopt(**earlier);
  }

  Co<void> startMissing() {
    children_.startRole("zookeeper");
    for (const auto& one : plan_.zookeepers) co_await waitForZookeeper(one.clientPort);
    co_await bootstrap();
    children_.startRole("coordinator");
    children_.startRole("worker");
    children_.startRole("gateway");
  }

  Co<void> stop(bool keepRanks) {
    children_.letDie();
    co_await children_.stopRole("gateway", PATIENCE);
    co_await children_.stopRole("worker", PATIENCE);
    if (!keepRanks) {
      for (const auto& id : plan_.workers) co_await stopRanks(id);
    }
    co_await children_.stopRole("coordinator", PATIENCE);
    co_await children_.stopRole("zookeeper", PATIENCE);
    log_.info("stopped");
  }

 private:
  // Serving: it answers "mntr" with a state. Before that a coordinator could only fail.
  Co<void> waitForZookeeper(uint16_t port) {
    SteadyTime deadline = clock_.steadyNow() + ZOOKEEPER_DEADLINE;
    for (;;) {
      std::string answer = co_await askZookeeper(port);
      if (answer.find("zk_server_state") != std::string::npos) co_return;
      KJ_REQUIRE(clock_.steadyNow() < deadline, "ZooKeeper does not serve; its log says why", port);
      co_await loop_.timer().afterDelay(50 * kj::MILLISECONDS);
    }
  }

  kj::Promise<std::string> askZookeeper(uint16_t port) {
    kj::Promise<std::string> asked = askZookeeperCo(port);
    return withDeadline(loop_.timer(), ZOOKEEPER_PROBE_DEADLINE, "a probe of ZooKeeper",
                        kj::mv(asked))
        .catch_([](kj::Exception&&) { return std::string(); });
  }

  Co<std::string> askZookeeperCo(uint16_t port) {
    auto address = co_await loop_.network().parseAddress(LOCAL_HOST, port);
    auto stream = co_await address->connect();
    co_await stream->write("mntr", 4);
    auto text = co_await stream->readAllText(1 << 20);
    co_return std::string(text.cStr());
  }

  // Makes the tree once; a second time it changes nothing.
  kj::Promise<void> bootstrap() {
    const auto& first = plan_.coordinators.front();
    return runOnce("bootstrap",
                   {binFolder_ + "/muster-coordinator", "--config",
                    layout_.configOf(first.id, "coordinator"), "--bootstrap"},
                   BOOTSTRAP_DEADLINE);
  }

  kj::Promise<void> stopRanks(const std::string& worker) {
    return runOnce("stopping the ranks of " + worker,
                   {binFolder_ + "/muster-worker", "--config", layout_.configOf(worker, "worker"),
                    "--stop-ranks"},
                   RANKS_DEADLINE);
  }

  kj::Promise<void> runOnce(std::string what, std::vector<std::string> argv, Duration deadline) {
    ProcessSpec spec{.argv = std::move(argv),
                     .env = childEnvironment(),
                     .cwd = layout_.root,
                     .stdoutFile = layout_.logOf("supervisor"),
                     .stderrFile = layout_.logOf("supervisor"),
                     .session = Session::SHARED,
                     .inheritedFds = {}};
    auto child = runner_->spawn(spec);
    auto ended = child->onExit().attach(kj::mv(child));
    return withDeadline(loop_.timer(), deadline, what, kj::mv(ended))
        .then([what](ExitStatus status) {
          KJ_REQUIRE(status.success(), "a step of the supervisor failed", what.c_str(),
                     toText(status).c_str());
        });
  }

  EventLoop& loop_;
  SystemClock clock_;
  Logger log_;
  kj::Own<ProcessRunner> runner_;
  std::string binFolder_;
  LocalLayout layout_;
  LocalPlan plan_;
  Children children_;
};

class SupervisorServer final : public schema::Supervisor::Server {
 public:
  SupervisorServer(LocalSupervisor& supervisor, kj::Function<void()> onStopped)
      : supervisor_(supervisor), onStopped_(kj::mv(onStopped)) {}

 protected:
  kj::Promise<void> startMissing(StartMissingContext) override {
    return supervisor_.startMissing();
  }

  kj::Promise<void> stop(StopContext context) override {
    kj::Promise<void> stopped = supervisor_.stop(context.getParams().getKeepRanks());
    return stopped.then([this] { onStopped_(); });
  }

 private:
  LocalSupervisor& supervisor_;
  kj::Function<void()> onStopped_;
};

void serve(EventLoop& loop, LocalSupervisor& supervisor, const LocalLayout& layout) {
  auto stopped = kj::newPromiseAndFulfiller<void>();
  RpcServer server(loop.timer(), [&](const RpcPeer&) {
    return schema::Supervisor::Client(
        kj::heap<SupervisorServer>(supervisor, [&] { stopped.fulfiller->fulfill(); }));
  });
  ShortSocketPath socket(layout.supervisorSocket());
  auto listener = listenUnix(loop.network(), socket.path, server.acceptor()).wait(loop.waitScope());
  supervisor.adoptEarlier();
  kj::Promise<void> starting = supervisor.startMissing();
  auto failed = kj::runCatchingExceptions([&] { starting.wait(loop.waitScope()); });
  KJ_IF_MAYBE (exception, failed) {  // half a cluster is of no use to anybody
    kj::Promise<void> stopping = supervisor.stop(true);
    stopping.wait(loop.waitScope());
    kj::throwFatalException(kj::mv(*exception));
  }
  auto terminated =
      loop.onTermination().then([&](int) -> kj::Promise<void> { return supervisor.stop(false); });
  // A moment for the answer of stop() to leave.
  auto told = stopped.promise.then([&] { return loop.timer().afterDelay(50 * kj::MILLISECONDS); });
  told.exclusiveJoin(kj::mv(terminated)).wait(loop.waitScope());
}

}  // namespace

int superviseLocalCluster(const LocalLayout& layout) {
  EventLoop loop(TerminationSignals::CAPTURE);
  auto plan = loadPlan(layout);
  KJ_REQUIRE(plan.ok() && plan->has_value(), "there is no cluster to supervise",
             layout.root.c_str());
  std::string binFolder = ownFolder();
  auto specs = childrenOf(**plan, layout, binFolder);
  KJ_REQUIRE(specs.ok(), specs.refusal().text.c_str());
  LocalSupervisor supervisor(loop, binFolder, layout, **plan, std::move(*specs));
  serve(loop, supervisor, layout);
  return 0;
}

}  // namespace muster::cli
