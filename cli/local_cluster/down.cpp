#include "base/clock.h"
#include "base/co.h"
#include "base/kj_time.h"
#include "base/process.h"
#include "cli/local_cluster/children.h"
#include "cli/local_cluster/cluster_file.h"
#include "cli/local_cluster/commands.h"
#include "cli/local_cluster/supervisor_client.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::cli {
namespace {

constexpr Duration DOWN_DEADLINE = 120_s;
constexpr int EXIT_NOT_FOUND = 4;

Co<void> stopThroughSupervisor(EventLoop& loop, RpcConnection& connection, bool keepRanks) {
  auto request = supervisorOf(connection).stopRequest();
  request.setKeepRanks(keepRanks);
  kj::Promise<void> stopped = request.send().ignoreResult();
  co_await withDeadline(loop.timer(), DOWN_DEADLINE, std::string("stopping the cluster"),
                        kj::mv(stopped));
}

// The supervisor was killed: a new one takes its children over, only to stop them.
kj::Own<ChildProcess> startSupervisor(ProcessRunner& runner, const LocalLayout& layout) {
  std::string self = ownProgram();
  std::string log = layout.logOf("supervisor");
  return runner.spawn({.argv = {self, "up", "--supervise", "--dir", layout.root},
                       .env = childEnvironment(),
                       .cwd = layout.root,
                       .stdoutFile = log,
                       .stderrFile = log,
                       .session = Session::OWN,
                       .inheritedFds = {}});
}

bool anythingRuns(const LocalLayout& layout) {
  auto file = loadClusterFile(layout.clusterFile());
  return file && *file && anyRuns(**file);
}

// Waits for the supervisor's own end, so that `down` followed by `up` meets an empty place.
Co<void> waitForEnd(EventLoop& loop, const LocalLayout& layout) {
  SystemClock clock;
  SteadyTime deadline = clock.steadyNow() + DOWN_DEADLINE;
  while (anythingRuns(layout)) {
    KJ_REQUIRE(clock.steadyNow() < deadline, "E0708 some processes of the cluster do not end",
               layout.clusterFile().c_str());
    co_await loop.timer().afterDelay(20 * kj::MILLISECONDS);
  }
}

Co<kj::Own<RpcConnection>> supervisorFor(EventLoop& loop, ProcessRunner& runner,
                                         const LocalLayout& layout) {
  kj::Own<ChildProcess> started;
  SystemClock clock;
  SteadyTime deadline = clock.steadyNow() + DOWN_DEADLINE;
  for (;;) {
    auto found = co_await findSupervisor(loop, layout);
    KJ_IF_MAYBE (connection, found) {
      co_return kj::mv(*connection);
    }
    KJ_REQUIRE(clock.steadyNow() < deadline, "E0708 the supervisor does not answer",
               layout.root.c_str());
    if (started.get() == nullptr) started = startSupervisor(runner, layout);
    co_await loop.timer().afterDelay(50 * kj::MILLISECONDS);
  }
}

Co<void> downCo(EventLoop& loop, ProcessRunner& runner, const LocalLayout& layout, bool keepRanks) {
  auto connection = co_await supervisorFor(loop, runner, layout);
  co_await stopThroughSupervisor(loop, *connection, keepRanks);
  connection = nullptr;
  co_await waitForEnd(loop, layout);
}

// Scripts that bring up a cluster of their own take it down without a word; a person may have
// meant another one.
std::optional<int> stopUnlessMeant(const DownOptions& options, const LocalLayout& layout,
                                   const LocalPlan& plan, Terminal& terminal) {
  if (!terminal.canAsk()) return std::nullopt;
  std::string ranks = options.keepRanks ? "; its ranks go on" : ", and every rank that serves";
  return terminal.stopUnlessConfirmed(
      "this stops cluster " + plan.cluster.value + " in " + layout.root + ": " +
          std::to_string(plan.coordinators.size()) + " coordinators, " +
          std::to_string(plan.workers.size()) + " workers" + ranks,
      "stop it?");
}

}  // namespace

int runDown(const DownOptions& options, Terminal& terminal, const Environment& environment) {
  LocalLayout layout = layoutOf(options.directory, environment);
  auto plan = loadPlan(layout);
  if (!plan) return terminal.fail(plan.refusal());
  if (!*plan) {
    terminal.fail({RefusalCode::NOT_FOUND,
                   "there is no local cluster in " + layout.root,
                   {},
                   {"muster up --dir " + layout.root}});
    return EXIT_NOT_FOUND;
  }
  if (!anythingRuns(layout)) {
    terminal.outLine("cluster " + (*plan)->cluster.value + " does not run");
    return 0;
  }
  if (auto stop = stopUnlessMeant(options, layout, **plan, terminal)) return *stop;
  EventLoop loop;
  auto runner = makeProcessRunner(loop);
  kj::Promise<void> down = downCo(loop, *runner, layout, options.keepRanks);
  down.wait(loop.waitScope());
  terminal.outLine("cluster " + (*plan)->cluster.value + " is down; its data stays in " +
                   layout.root);
  terminal.outLine("next: muster up --dir " + layout.root);
  return 0;
}

}  // namespace muster::cli
