#include "base/clock.h"
#include "base/co.h"
#include "base/files.h"
#include "base/free_ports.h"
#include "base/kj_time.h"
#include "base/process.h"
#include "base/tls_transport.h"
#include "cli/context.h"
#include "cli/local_cluster/children.h"
#include "cli/local_cluster/cluster_file.h"
#include "cli/local_cluster/cluster_probe.h"
#include "cli/local_cluster/commands.h"
#include "cli/local_cluster/config_files.h"
#include "cli/local_cluster/first_port_claim.h"
#include "cli/local_cluster/supervisor.h"
#include "cli/local_cluster/supervisor_client.h"
#include "sharding/text.h"

#include <kj/debug.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <utility>
#include <vector>

namespace muster::cli {
namespace {

constexpr Duration UP_DEADLINE = 120_s;
constexpr Duration LOOK_INTERVAL = 200_ms;
constexpr int EXIT_INTERRUPTED = 130;

// One `muster up` from its plan to a cluster that serves.
class UpRun {
 public:
  UpRun(EventLoop& loop, LocalLayout layout, LocalPlan plan, std::vector<int> kept,
        Terminal& terminal)
      : loop_(loop),
        runner_(makeProcessRunner(loop)),
        layout_(std::move(layout)),
        plan_(std::move(plan)),
        kept_(std::move(kept)),
        terminal_(terminal),
        transport_(makeTlsTransport(loop.network(), loop.timer(), plan_.cluster,
                                    {layout_.pki() + "/ca.crt", layout_.pki() + "/admin-admin.crt",
                                     layout_.pki() + "/admin-admin.key"})) {}

  // A supervisor that runs is asked to start what is missing, else one is started.
  Co<void> bringUp() {
    auto found = co_await findSupervisor(loop_, layout_);
    KJ_IF_MAYBE (connection, found) {
      terminal_.hint("the cluster runs; starting what is missing");
      co_await supervisorOf(**connection).startMissingRequest().send();
    } else {
      startSupervisor();
    }
    co_await waitUntilComplete();
  }

  // Shows the supervisor's log as it grows, until nothing listens any more or the caller drops
  // this.
  Co<void> follow() {
    std::ifstream log(layout_.logOf("supervisor"));
    log.seekg(0, std::ios::end);
    for (;;) {
      std::string line;
      while (std::getline(log, line)) terminal_.hint(line);
      log.clear();
      co_await loop_.timer().afterDelay(toKj(LOOK_INTERVAL));
    }
  }

 private:
  void startSupervisor() {
    std::string self = ownProgram();
    std::string log = layout_.logOf("supervisor");
    supervisor_ = runner_->spawn({.argv = {self, "up", "--supervise", "--dir", layout_.root},
                                  .env = childEnvironment(),
                                  .cwd = layout_.root,
                                  .stdoutFile = log,
                                  .stderrFile = log,
                                  .session = Session::OWN,
                                  .inheritedFds = kept_});
  }

  Co<void> waitUntilComplete() {
    SystemClock clock;
    SteadyTime deadline = clock.steadyNow() + UP_DEADLINE;
    for (;;) {
      auto progress = co_await probeCluster(loop_, *transport_, plan_);
      showProgress(progress);
      if (progress.complete(plan_)) break;
      KJ_REQUIRE(supervisorLives(), "the supervisor has ended; its log says why",
                 layout_.logOf("supervisor").c_str());
      KJ_REQUIRE(clock.steadyNow() < deadline, "E0708 the cluster is not complete",
                 toText(progress, plan_).c_str(), layout_.logs().c_str());
      co_await loop_.timer().afterDelay(toKj(LOOK_INTERVAL));
    }
    terminal_.endProgress();
  }

  void showProgress(const ClusterProgress& progress) {
    std::vector<std::string> lines = {toText(progress, plan_)};
    terminal_.progress(lines);
  }

  bool supervisorLives() const {
    if (supervisor_.get() == nullptr) return true;
    auto stat = readProcessStat(supervisor_->id().pid);
    return stat && stat->startTicks == supervisor_->id().startTicks && stat->state != 'Z';
  }

  EventLoop& loop_;
  kj::Own<ProcessRunner> runner_;
  LocalLayout layout_;
  LocalPlan plan_;
  std::vector<int> kept_;  // claims that the supervisor inherits
  Terminal& terminal_;
  kj::Own<Transport> transport_;
  kj::Own<ChildProcess> supervisor_;
};

Result<LocalPlan> planFor(const UpOptions& options, const LocalLayout& layout,
                          const FirstPortClaim& claim, FreePorts& ports) {
  auto existing = loadPlan(layout);
  if (!existing) return existing.refusal();
  if (*existing) {
    auto same = checkSamePlan(options, **existing);
    if (!same) return same.refusal();
    for (const auto& one : portsOf(**existing)) ports.claim(one.port);
    return **existing;
  }
  auto plan =
      drawPlan(options, layout, ports, claim.held() ? FirstPort::OURS_IF_FREE : FirstPort::LEAVE);
  if (!plan) return plan;
  SystemRandom random;
  auto written = writeNewCluster(*plan, layout, random);
  if (!written) return written.refusal();
  return plan;
}

// What runs of an earlier start holds its own ports.
std::set<std::string> runningIds(const LocalLayout& layout) {
  std::set<std::string> ids;
  auto file = loadClusterFile(layout.clusterFile());
  if (!file || !*file) return ids;
  for (const auto& one : (*file)->processes) {
    if (isRunning(one)) ids.insert(one.id);
  }
  return ids;
}

Refusal portTaken(const std::string& id, uint16_t port) {
  std::string number = std::to_string(port);
  return {.code = RefusalCode::PORT_IN_USE,
          .text = "another program listens on " + std::string(LOCAL_HOST) + ":" + number +
                  ", a port of " + id,
          .fixes = {"ss -ltnp 'sport = :" + number + "'  shows which; stop it",
                    "muster up --dir ANOTHER  makes a cluster with ports of its own"}};
}

// A process that meets a taken port would end and be started again for ever. With a supervisor
// there is nothing to say: it may be starting that very process.
Result<Done> checkPorts(const LocalPlan& plan, const LocalLayout& layout) {
  auto running = runningIds(layout);
  if (running.contains("supervisor")) return Done{};
  for (const auto& [id, port] : portsOf(plan)) {
    if (running.contains(id) || isFree(port)) continue;
    return portTaken(id, port);
  }
  return Done{};
}

// It becomes the current context only if there is none, so that no other cluster's commands come
// here by surprise.
void offerContext(const LocalPlan& plan, const LocalLayout& layout, Terminal& terminal,
                  const Environment& environment) {
  auto current = setCurrentContextIfNone({plan.cluster.value, layout.contextFile()}, environment);
  if (!current) return terminal.warn(current.refusal().text);
  if (*current) terminal.outLine("  context " + plan.cluster.value + " is the current one");
  terminal.outLine("  export MUSTER_CONTEXT=" + layout.contextFile());
}

void printSummary(const LocalPlan& plan, const LocalLayout& layout, Terminal& terminal,
                  const Environment& environment) {
  using sharding::counted;
  std::string device = (plan.deviceType == "cpu" ? "CPU" : plan.deviceType) + " device";
  terminal.outLine("cluster " + plan.cluster.value +
                   " is up: " + std::to_string(plan.zookeepers.size()) + " ZooKeeper, " +
                   counted(plan.coordinators.size(), "coordinator") + ", " +
                   counted(plan.workers.size(), "worker") + " of " + counted(plan.devices, device) +
                   " of " + toText(plan.deviceMemory));
  terminal.outLine("  http    http" + std::string("s://") + LOCAL_HOST + ":" +
                   std::to_string(plan.coordinators.front().httpPort) + "/api/v1/cluster");
  for (const auto& one : plan.gateways) {
    terminal.outLine("  openai  http" + std::string("://") + LOCAL_HOST + ":" +
                     std::to_string(one.httpPort) + "/v1");
  }
  for (const auto& root : plan.models) terminal.outLine("  models  " + root);
  terminal.outLine("  logs    " + layout.logs());
  offerContext(plan, layout, terminal, environment);
  terminal.outLine("next: muster apply FILE     stop it: muster down --dir " + layout.root);
}

int bringUpAndFollow(const UpOptions& options, const LocalLayout& layout, const LocalPlan& plan,
                     std::vector<int> kept, Terminal& terminal, const Environment& environment) {
  EventLoop loop(TerminationSignals::CAPTURE);
  UpRun run(loop, layout, plan, std::move(kept), terminal);
  auto interrupted = loop.onTermination().then([](int) { return false; });
  kj::Promise<void> up = run.bringUp();
  bool complete =
      up.then([] { return true; }).exclusiveJoin(kj::mv(interrupted)).wait(loop.waitScope());
  if (complete) {
    printSummary(plan, layout, terminal, environment);
    if (options.detach) return 0;
    terminal.hint("Ctrl-C detaches; the cluster goes on");
    kj::Promise<void> following = run.follow();
    following.exclusiveJoin(loop.onTermination().ignoreResult()).wait(loop.waitScope());
  }
  terminal.endProgress();
  terminal.hint("detached; the cluster goes on. Stop it: muster down --dir " + layout.root);
  return EXIT_INTERRUPTED;
}

}  // namespace

LocalLayout layoutOf(const std::string& directory, const Environment& environment) {
  namespace fs = std::filesystem;
  if (!directory.empty()) return {fs::absolute(directory).lexically_normal().string()};
  std::string state = lookUp(environment, "XDG_STATE_HOME");
  if (state.empty()) state = lookUp(environment, "HOME") + "/.local/state";
  return {state + "/muster/local"};
}

int runUp(const UpOptions& options, Terminal& terminal, const Environment& environment) {
  LocalLayout layout = layoutOf(options.directory, environment);
  if (options.supervise) return superviseLocalCluster(layout);
  FirstPortClaim claim;
  FreePorts ports;
  auto plan = planFor(options, layout, claim, ports);
  if (!plan) return terminal.fail(plan.refusal());
  ports.letListen();
  auto free = checkPorts(*plan, layout);
  if (!free) return terminal.fail(free.refusal());
  std::vector<int> kept = ports.claims();
  if (claim.held() && hasFirstPort(*plan)) kept.push_back(claim.fd());
  return bringUpAndFollow(options, layout, *plan, std::move(kept), terminal, environment);
}

}  // namespace muster::cli
