// How long a cluster takes no writes when its leader is there and does nothing: stopped (SIGSTOP),
// or cut off from ZooKeeper while everybody else reaches it. From the stop or the cut to the first
// acknowledged write of a newer epoch, with sessions of one second. Beside it the same stop when
// only the end of the session replaces a leader.
//
// A stopped leader goes on after its session has ended, so that no guess was wrong: a wrong one
// would keep the next run from guessing.
//
// Usage: failover_frozen [--runs 30] [--expiry 10]
#include "bench/failover_cluster.h"
#include "bench/options.h"
#include "tests/support/relay.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace muster::bench {
namespace {

constexpr Duration SESSION_OVER = 2'500_ms;  // ZooKeeper ends one after 1.5 times its length

Gaps freeze(FailoverCluster& cluster, size_t runs, bool guesses) {
  Gaps gaps;
  for (size_t i = 0; i < runs; i++) {
    size_t leader = guesses ? cluster.settle() : cluster.settleWithoutGuesses();
    uint64_t epoch = cluster.epoch();
    SteadyTime stopped = cluster.clock().steadyNow();
    cluster.processes().signal(leader, SIGSTOP);
    cluster.noteGap(gaps, epoch, stopped);
    std::fprintf(stderr, "stop %zu: %.1f ms\n", i + 1, gaps.total.back());
    cluster.wait(SESSION_OVER);
    cluster.processes().signal(leader, SIGCONT);
  }
  return gaps;
}

// The lines of each coordinator to each ZooKeeper server.
class Lines {
 public:
  Lines(EventLoop& loop, const std::vector<std::string>& servers, size_t members) {
    for (size_t i = 0; i < members; i++) {
      lines_.emplace_back();
      for (const std::string& server : servers) {
        lines_.back().push_back(kj::heap<support::Relay>(loop, server));
      }
    }
  }
  std::vector<std::string> of(size_t member) const {
    std::vector<std::string> addresses;
    for (const auto& line : lines_[member]) addresses.push_back(line->address());
    return addresses;
  }
  void cut(size_t member) {
    for (auto& line : lines_[member]) line->cut();
  }
  void heal(size_t member) {
    for (auto& line : lines_[member]) line->heal();
  }

 private:
  std::vector<std::vector<kj::Own<support::Relay>>> lines_;
};

Gaps cutOff(FailoverCluster& cluster, Lines& lines, size_t runs) {
  Gaps gaps;
  for (size_t i = 0; i < runs; i++) {
    size_t leader = cluster.settle();
    uint64_t epoch = cluster.epoch();
    SteadyTime cut = cluster.clock().steadyNow();
    lines.cut(leader);
    cluster.noteGap(gaps, epoch, cut);
    std::fprintf(stderr, "cut %zu: %.1f ms\n", i + 1, gaps.total.back());
    cluster.wait(SESSION_OVER);
    lines.heal(leader);
  }
  return gaps;
}

// Coordinators read it when they start.
void guess(bool on) { setenv("MUSTER_FAILOVER_GUESS", on ? "on" : "off", 1); }

int run(const Options& options) {
  EventLoop loop;
  Report report("failover-frozen");
  report.budget("p50_ms", "<= 500").budget("p99_ms", "<= 800");
  report.budget("cut_off.p50_ms", "<= 500").budget("cut_off.p99_ms", "<= 800");
  {
    guess(true);
    support::ZkServers zookeeper(3, support::likeProduction());
    FailoverCluster cluster(loop, [&](size_t) { return zookeeper.addresses(); });
    noteGaps(report, freeze(cluster, options.count("runs"), true));
  }
  {
    support::ZkServers zookeeper(3, support::likeProduction());
    Lines lines(loop, zookeeper.addresses(), 3);
    FailoverCluster cluster(loop, [&](size_t member) { return lines.of(member); });
    noteGaps(report, cutOff(cluster, lines, options.count("runs")), "cut_off.");
  }
  {
    guess(false);
    support::ZkServers zookeeper(3, support::likeProduction());
    FailoverCluster cluster(loop, [&](size_t) { return zookeeper.addresses(); });
    noteGaps(report, freeze(cluster, options.count("expiry"), false), "session_expiry.");
  }
  notePeers(report);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run(muster::bench::Options(argc, argv, {{"runs", 30}, {"expiry", 10}}));
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "failover_frozen: %s\n", exception.getDescription().cStr());
    return 1;
  }
}
