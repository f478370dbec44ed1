#include "cli/local_cluster/children.h"

#include "base/files.h"
#include "base/kj_time.h"
#include "base/zookeeper_command.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <signal.h>
#include <unistd.h>

namespace muster::cli {
namespace {

constexpr Duration RESTART_PAUSE = 500_ms;

}  // namespace

Result<std::vector<ChildSpec>> childrenOf(const LocalPlan& plan, const LocalLayout& layout,
                                          const std::string& binFolder) {
  auto jars = findZookeeperJars();
  if (!jars) return jars.refusal();
  std::vector<ChildSpec> specs;
  std::vector<ZookeeperMember> members;
  for (const auto& one : plan.zookeepers) {
    members.push_back({LOCAL_HOST, one.clientPort, one.quorumPort, one.electionPort});
  }
  for (size_t i = 0; i < plan.zookeepers.size(); ++i) {
    const auto& one = plan.zookeepers[i];
    ZookeeperServerOptions options{
        .directory = layout.folderOf(one.id), .members = members, .self = i};
    specs.push_back({"zookeeper",
                     one.id,
                     zookeeperCommand(options, *jars),
                     {{"client", localAddress(one.clientPort)}}});
  }
  for (const auto& one : plan.coordinators) {
    specs.push_back(
        {"coordinator",
         one.id,
         {binFolder + "/muster-coordinator", "--config", layout.configOf(one.id, "coordinator")},
         {{"rpc", localAddress(one.rpcPort)}, {"http", localAddress(one.httpPort)}}});
  }
  for (const auto& id : plan.workers) {
    specs.push_back({"worker",
                     id,
                     {binFolder + "/muster-worker", "--config", layout.configOf(id, "worker")},
                     {}});
  }
  for (const auto& one : plan.gateways) {
    specs.push_back(
        {"gateway",
         one.id,
         {binFolder + "/muster-gateway", "--config", layout.configOf(one.id, "gateway")},
         {{"http", localAddress(one.httpPort)}}});
  }
  return specs;
}

std::string ownProgram() {
  constexpr std::string_view GONE = " (deleted)";
  std::string path = std::filesystem::read_symlink("/proc/self/exe").string();
  if (path.ends_with(GONE)) path.resize(path.size() - GONE.size());
  return path;
}

std::vector<std::string> childEnvironment() {
  std::vector<std::string> out;
  for (const char* name :
       {"PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME", "LD_LIBRARY_PATH", "ASAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  }
  return out;
}

Children::Children(EventLoop& loop, ProcessRunner& runner, Logger& log, LocalLayout layout,
                   LocalPlan plan, std::vector<ChildSpec> specs)
    : loop_(loop),
      runner_(runner),
      log_(log),
      layout_(std::move(layout)),
      plan_(std::move(plan)),
      specs_(std::move(specs)),
      tasks_("a child of the supervisor") {}

void Children::adopt(const ClusterFile& earlier) {
  for (const auto& one : earlier.processes) {
    bool ours = std::any_of(specs_.begin(), specs_.end(),
                            [&](const ChildSpec& spec) { return spec.id == one.id; });
    if (!ours) continue;
    KJ_IF_MAYBE (process, runner_.adopt(one.process)) {
      log_.info("took over", {{"id", one.id}, {"pid", one.process.pid}});
      known_[one.id] = one;
      watch(one.id, kj::mv(*process));
    }
  }
}

bool Children::runs(const std::string& id) const { return running_.count(id) != 0; }

const ChildSpec& Children::specOf(const std::string& id) const {
  auto found = std::find_if(specs_.begin(), specs_.end(),
                            [&](const ChildSpec& spec) { return spec.id == id; });
  KJ_REQUIRE(found != specs_.end(), "no such child", id.c_str());
  return *found;
}

void Children::start(const std::string& id) {
  if (runs(id)) return;
  const auto& spec = specOf(id);
  std::string log = layout_.logOf(id);
  ProcessSpec process{.argv = spec.argv,
                      .env = childEnvironment(),
                      .cwd = layout_.folderOf(id),
                      .stdoutFile = log,
                      .stderrFile = log,
                      .session = Session::OWN,
                      .inheritedFds = {}};
  auto child = runner_.spawn(process);
  log_.info("started", {{"id", id}, {"pid", child->id().pid}});
  known_[id] = {spec.role, id, child->id(), spec.addresses, log};
  watch(id, kj::mv(child));
  writeClusterFile();
}

void Children::startRole(const std::string& role) {
  for (const auto& spec : specs_) {
    if (spec.role == role) start(spec.id);
  }
}

void Children::watch(const std::string& id, kj::Own<ChildProcess> process) {
  tasks_.add(process->onExit().then([this, id](ExitStatus status) { ended(id, status); }));
  running_[id] = {kj::mv(process)};
}

bool Children::restarts(const std::string& role) const {
  return std::find(plan_.restartRoles.begin(), plan_.restartRoles.end(), role) !=
         plan_.restartRoles.end();
}

void Children::ended(const std::string& id, ExitStatus status) {
  // The handle goes one turn later: this is called by its own promise.
  auto old = kj::mv(running_[id].process);
  running_.erase(id);
  tasks_.add(kj::evalLater([old = kj::mv(old)] {}));
  log_.warn("ended", {{"id", id}, {"how", toText(status)}});
  if (dying_ || !restarts(specOf(id).role)) return;
  tasks_.add(loop_.timer().afterDelay(toKj(RESTART_PAUSE)).then([this, id] {
    if (!dying_) start(id);
  }));
}

void Children::writeClusterFile() {
  ClusterFile file{.cluster = plan_.cluster.value, .zookeeper = {}, .processes = {}};
  for (const auto& one : plan_.zookeepers) file.zookeeper.push_back(localAddress(one.clientPort));
  for (const auto& spec : specs_) {
    auto known = known_.find(spec.id);
    if (known != known_.end()) file.processes.push_back(known->second);
  }
  auto self = readProcessStat(::getpid());
  file.processes.push_back({"supervisor",
                            "supervisor",
                            {::getpid(), self ? self->startTicks : 0},
                            {},
                            layout_.logOf("supervisor")});
  auto written = writeFileAtomically(layout_.clusterFile(), toJson(file), 0644);
  if (!written) log_.error(written.refusal().text);
}

kj::Promise<void> Children::stopOne(const std::string& id, Duration patience) {
  auto running = running_.find(id);
  if (running == running_.end()) return kj::READY_NOW;
  auto& process = *running->second.process;
  process.kill(SIGTERM);
  auto impatient = loop_.timer().afterDelay(toKj(patience)).then([this, id]() -> kj::Promise<void> {
    auto still = running_.find(id);
    if (still == running_.end()) return kj::READY_NOW;
    log_.warn("did not end when asked; killed", {{"id", id}});
    still->second.process->kill(SIGKILL);
    return still->second.process->onExit().ignoreResult();
  });
  return process.onExit().ignoreResult().exclusiveJoin(kj::mv(impatient));
}

kj::Promise<void> Children::stopRole(const std::string& role, Duration patience) {
  kj::Vector<kj::Promise<void>> all;
  for (const auto& spec : specs_) {
    if (spec.role == role) all.add(stopOne(spec.id, patience));
  }
  return kj::joinPromises(all.releaseAsArray());
}

}  // namespace muster::cli
