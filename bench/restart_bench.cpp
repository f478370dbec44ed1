// How long a coordinator with a large state is away when its process dies: from the start of its
// process until it answers as a standby that has everything the leader had then.
//
// Usage: restart [--records 1000000] [--runs 10] [--servers 1]
#include "base/clock.h"
#include "bench/big_cluster.h"
#include "bench/options.h"
#include "bench/report.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstdio>

namespace muster::bench {
namespace {

// A standby, killed and started again: seconds.
double restartOnce(BigCluster& cluster) {
  size_t leader = cluster.leader();
  size_t member = (leader + 1) % cluster.processes.count();
  cluster.processes.kill(member);
  uint64_t wanted = cluster.ask(leader)->applied;
  SystemClock clock;
  SteadyTime started = clock.steadyNow();
  cluster.processes.start(member);
  cluster.until("it serves as a standby", [&] {
    auto info = cluster.ask(member);
    return info && !info->leads && info->applied >= wanted;
  });
  return static_cast<double>((clock.steadyNow() - started).nanos) / 1e9;
}

int run(int argc, char** argv) {
  Options options(argc, argv, {{"records", 1'000'000}, {"runs", 10}, {"servers", 1}});
  BigCluster cluster(options.count("servers"), options.count("records"));
  cluster.startAll();
  std::vector<double> seconds;
  for (size_t i = 0; i < options.count("runs"); i++) {
    seconds.push_back(restartOnce(cluster));
    std::fprintf(stderr, "restart %zu: %.2f s\n", i + 1, seconds.back());
  }
  Report report("restart");
  report.budget("serving_s", "<= 2");
  report.figure("records", options.number("records"));
  report.figure("runs", options.number("runs"));
  report.figure("serving_s", percentile(seconds, 0.5));
  report.figure("serving_max_s", *std::max_element(seconds.begin(), seconds.end()));
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) { return muster::bench::run(argc, argv); }
