// How long a cluster takes no writes when its leader is killed: from kill(2) to the first
// acknowledged write of a newer epoch, on one clock, with real processes and a client that offers a
// write each millisecond. No run is left out; one over 10 s counts as 10 s and is listed. The
// killed coordinator is started again and has caught up before the next kill.
//
// The records are outcomes of changes, written through the API and the log, the same on disk and in
// memory as any other record.
//
// Usage: failover_crash [--kills 100] [--smallest 1000] [--largest 1000000] [--servers 3]
// Sizes go up from the smallest by a hundred, then by ten, to the largest.
#include "bench/failover_cluster.h"
#include "bench/options.h"
#include "bench/report.h"

#include <cmath>
#include <csignal>
#include <cstdio>

namespace muster::bench {
namespace {

Gaps measure(FailoverCluster& cluster, size_t kills) {
  Gaps gaps;
  for (size_t i = 0; i < kills; i++) {
    size_t leader = cluster.settle();
    uint64_t epoch = cluster.epoch();
    SteadyTime killed = cluster.clock().steadyNow();
    cluster.processes().signal(leader, SIGKILL);
    cluster.noteGap(gaps, epoch, killed);
    std::fprintf(stderr, "kill %zu: %.1f ms\n", i + 1, gaps.total.back());
    cluster.processes().kill(leader);
    cluster.start(leader);
  }
  return gaps;
}

// 1,000 and 100,000 and 1,000,000.
std::vector<uint64_t> sizes(uint64_t smallest, uint64_t largest) {
  std::vector<uint64_t> sizes = {smallest};
  while (sizes.back() < largest) {
    sizes.push_back(std::min(largest, sizes.back() * (sizes.size() == 1 ? 100 : 10)));
  }
  return sizes;
}

// Of the medians over log10 of the records, by least squares.
double slope(const std::vector<std::pair<uint64_t, double>>& points) {
  double n = static_cast<double>(points.size());
  double sumX = 0, sumY = 0, sumXX = 0, sumXY = 0;
  for (const auto& [records, median] : points) {
    double x = std::log10(static_cast<double>(records));
    sumX += x, sumY += median, sumXX += x * x, sumXY += x * median;
  }
  return (n * sumXY - sumX * sumY) / (n * sumXX - sumX * sumX);
}

int run(const Options& options) {
  // A leader that dies every few seconds ends no snapshot of a million records, so that the log is
  // kept whole.
  support::ZkServerOptions roomy = support::likeProduction();
  roomy.heapMax = 3_GiB;
  support::ZkServers zookeeper(options.count("servers"), roomy);
  EventLoop loop;
  FailoverCluster cluster(loop, [&](size_t) { return zookeeper.addresses(); });
  Report report("failover-crash");
  report.budget("p50_ms", "<= 25").budget("p99_ms", "<= 150").budget("slope_ms", "<= 5");
  std::vector<std::pair<uint64_t, double>> medians;
  size_t kills = options.count("kills");
  for (uint64_t records : sizes(options.count("smallest"), options.count("largest"))) {
    std::fprintf(stderr, "%zu records\n", static_cast<size_t>(records));
    cluster.fillTo(records);
    Gaps gaps = measure(cluster, kills);
    if (medians.empty()) noteGaps(report, gaps);
    report.row("records", {{"count", static_cast<double>(records)},
                           {"kills", static_cast<double>(gaps.total.size())},
                           {"min_ms", percentile(gaps.total, 1e-9)},
                           {"p50_ms", percentile(gaps.total, 0.5)},
                           {"p99_ms", percentile(gaps.total, 0.99)}});
    medians.emplace_back(records, percentile(gaps.total, 0.5));
  }
  if (medians.size() > 1) report.figure("slope_ms", slope(medians));
  notePeers(report);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run(muster::bench::Options(
        argc, argv, {{"kills", 100}, {"smallest", 1e3}, {"largest", 1e6}, {"servers", 3}}));
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "failover_crash: %s\n", exception.getDescription().cStr());
    return 1;
  }
}
