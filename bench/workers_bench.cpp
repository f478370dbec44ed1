// What 10,000 workers cost the leader, and how soon the next leader has them: simulated agents over
// real loopback connections and mutual TLS, through the product's own links, one connection to each
// of three coordinators.
//
// Usage: workers [--agents 10000] [--seconds 20] [--kills 3] [--patience 300]
//
// `patience`: seconds all agents may take to attach; then those are measured that have.
// `attached`: agents a leader has answered by then. `leader_cores`: processor time of the leader
// over `seconds` in which nothing happens but heartbeats, left out when the leader changed.
// `agents_cores`: that of the agents, who are no part of the product but want cores of the same
// machine. `leader_mb`: resident memory of the leader then. `reattach_s`: from kill -9 of the
// leader until the last agent was answered by the next one, the longest of all kills.
// `returned_s` of a kill: from the start of the killed coordinator until every agent was attached
// to it again, -1 when that took over three minutes; the next kill waits for it. `false_deaths`:
// nodes that the leader called unreachable or lost, the most at any look, though none was away;
// `calm_false_deaths`: those before the first kill.
#include "bench/agent_fleet.h"
#include "bench/cluster.h"
#include "bench/cluster_watch.h"
#include "bench/options.h"
#include "bench/report.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace muster::bench {
namespace {

constexpr Duration REATTACHED_BY = 30_s;
constexpr Duration RETURNED_BY = 180_s;              // to a coordinator that was started again
constexpr auto LOOK_EVERY = 100 * kj::MILLISECONDS;  // reads all that the agents have said
constexpr Duration CALM = 5_s;  // after all have attached: orders are obeyed, states written

class Workers {
 public:
  Workers(Cluster& cluster, size_t agents)
      : cluster_(cluster),
        watch_(cluster),
        fleet_(cluster.processes, ClusterName{"bench"}, agents, 8) {}

  uint64_t epoch() const { return fleet_.epoch(); }
  double cpuSeconds() const {
    double all = 0;
    for (pid_t process : fleet_.processes()) all += useOf(process).cpuSeconds;
    return all;
  }

  // Waits until leaders of epochs above `epoch` have answered all agents, or for as long as this.
  AgentFleet::Answered awaitAll(uint64_t epoch, Duration patience) {
    SteadyTime deadline = cluster_.clock.steadyNow() + patience;
    for (;;) {
      auto answered = fleet_.answeredAfter(epoch);
      if (isAll(answered) || cluster_.clock.steadyNow() >= deadline) return answered;
      pause(LOOK_EVERY);
    }
  }
  bool isAll(const AgentFleet::Answered& answered) const {
    return answered.agents >= fleet_.agents();
  }

  // Seconds until the next leader has all; nothing when it has not within REATTACHED_BY.
  std::optional<double> killLeader() {
    size_t killed = cluster_.awaitLeader();
    uint64_t epoch = fleet_.epoch();
    SteadyTime since = cluster_.clock.steadyNow();
    cluster_.processes.kill(killed);
    auto answered = awaitAll(epoch, REATTACHED_BY);
    cluster_.awaitLeader();
    cluster_.processes.start(killed);
    if (!isAll(answered)) return {};
    return secondsOf(answered.last - since);
  }

  bool areEverywhere() const { return fleet_.attachedEverywhere() >= fleet_.agents(); }

  // Looks each second for as long as this whether a node is missed; returns how many were at most.
  double missedFor(Duration duration) {
    SteadyTime end = cluster_.clock.steadyNow() + duration;
    double most = 0;
    while (cluster_.clock.steadyNow() < end) {
      auto now = watch_.object()["nodes"];
      most = std::max(most, now["unreachable"].get<double>() + now["lost"].get<double>());
      pause(kj::SECONDS);
    }
    return most;
  }

 private:
  void pause(kj::Duration duration) {
    cluster_.loop.timer().afterDelay(duration).wait(cluster_.loop.waitScope());
  }
  Cluster& cluster_;
  ClusterWatch watch_;
  AgentFleet fleet_;
};

// What heartbeats alone cost. Returns the most nodes that were missed.
double measureCalm(Cluster& cluster, Workers& workers, Duration quiet, Report& report) {
  double missed = workers.missedFor(CALM);
  size_t leader = cluster.leader;
  uint64_t epoch = workers.epoch();
  ProcessUse before = cluster.leaderUse();
  double agentsBefore = workers.cpuSeconds();
  SteadyTime since = cluster.clock.steadyNow();
  missed = std::max(missed, workers.missedFor(quiet));
  double elapsed = secondsOf(cluster.clock.steadyNow() - since);
  report.figure("agents_cores", (workers.cpuSeconds() - agentsBefore) / elapsed);
  if (cluster.leader != leader || workers.epoch() != epoch) return missed;
  ProcessUse after = cluster.leaderUse();
  report.figure("leader_cores", (after.cpuSeconds - before.cpuSeconds) / elapsed);
  report.figure("leader_mb", after.memoryMb);
  return missed;
}

struct Return {
  std::optional<double> seconds;  // nothing: not by RETURNED_BY
  double missed = 0;              // the most nodes at any look
};

// Until every agent is attached to the coordinator again that was started now.
Return measureReturn(Cluster& cluster, Workers& workers) {
  SteadyTime since = cluster.clock.steadyNow();
  Return seen{.seconds = {}, .missed = workers.missedFor(10_s)};  // grants and leases end meanwhile
  while (!workers.areEverywhere()) {
    if (cluster.clock.steadyNow() - since > RETURNED_BY) return seen;
    seen.missed = std::max(seen.missed, workers.missedFor(1_s));
  }
  seen.seconds = secondsOf(cluster.clock.steadyNow() - since);
  return seen;
}

// Kills the leader so many times. Returns the most nodes that were missed between.
double measureKills(Cluster& cluster, Workers& workers, size_t kills, Report& report) {
  double longest = 0;
  double missed = 0;
  size_t whole = 0;
  for (size_t i = 0; i < kills; ++i) {
    auto seconds = workers.killLeader();
    Return back = measureReturn(cluster, workers);
    missed = std::max(missed, back.missed);
    if (!seconds) continue;
    ++whole;
    longest = std::max(longest, *seconds);
    report.row("kills", {{"reattach_s", *seconds},
                         {"false_deaths", back.missed},
                         {"returned_s", back.seconds.value_or(-1)}});
    std::fprintf(stderr, "workers: %.2f s until the next leader had all\n", *seconds);
  }
  if (kills > 0 && whole == kills) report.figure("reattach_s", longest);
  return missed;
}

void measure(const Options& options, Report& report) {
  Cluster cluster;
  SteadyTime began = cluster.clock.steadyNow();
  Workers workers(cluster, options.count("agents"));
  Duration patience{static_cast<int64_t>(options.number("patience") * 1e9)};
  auto attached = workers.awaitAll(0, patience);
  report.figure("attached", static_cast<double>(attached.agents));
  if (workers.isAll(attached)) report.figure("attached_s", secondsOf(attached.last - began));
  std::fprintf(stderr, "workers: %zu attached, the last after %.1f s\n", attached.agents,
               secondsOf(attached.last - began));

  Duration quiet{static_cast<int64_t>(options.number("seconds") * 1e9)};
  double missed = measureCalm(cluster, workers, quiet, report);
  report.figure("calm_false_deaths", missed);
  missed = std::max(missed, measureKills(cluster, workers, options.count("kills"), report));
  report.figure("false_deaths", missed);
}

int run(const Options& options) {
  Report report("workers");
  report.budget("attached", ">= " + std::to_string(options.count("agents")));
  report.budget("leader_cores", "<= 0.5").budget("leader_mb", "<= 1024");
  report.budget("reattach_s", "<= 3").budget("false_deaths", "<= 0");
  report.figure("agents", options.number("agents"));
  // What was measured before something failed is told; the rest counts as missed.
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { measure(options, report); })) {
    std::fprintf(stderr, "workers: %s\n", why->getDescription().cStr());
  }
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run(
        {argc, argv, {{"agents", 10'000}, {"seconds", 20}, {"kills", 3}, {"patience", 300}}});
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "workers: %s\n", exception.getDescription().cStr());
    return 2;
  }
}
