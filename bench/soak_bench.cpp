// Whether a leader that lives is ever replaced: all cores busy with other work, a client that
// offers a write each millisecond, and nothing else happens.
//
// Usage: soak [--minutes 60]
#include "bench/failover_cluster.h"
#include "bench/options.h"

#include <kj/thread.h>
#include <kj/vector.h>

#include <atomic>
#include <cstdio>
#include <sstream>
#include <string>
#include <thread>

namespace muster::bench {
namespace {

constexpr Duration LOOK_EVERY = 10_ms;

// One thread for each core that never waits.
class Burden {
 public:
  Burden() {
    for (unsigned i = 0; i < std::thread::hardware_concurrency(); i++) {
      threads_.add(kj::heap<kj::Thread>([this] {
        while (!over_) work_ = work_ + 1;
      }));
    }
  }
  ~Burden() noexcept(false) { over_ = true; }
  KJ_DISALLOW_COPY(Burden);

 private:
  std::atomic<bool> over_{false};
  std::atomic<uint64_t> work_{0};
  kj::Vector<kj::Own<kj::Thread>> threads_;
};

// Why a leader was replaced, in the coordinators' own words.
void tellReasons(FailoverCluster& cluster) {
  for (size_t i = 0; i < cluster.processes().count(); i++) {
    std::istringstream log(cluster.processes().log(i));
    for (std::string line; std::getline(log, line);) {
      bool tells = line.find("taken for dead") != std::string::npos ||
                   line.find(" elected ") != std::string::npos ||
                   line.find("leadership over") != std::string::npos;
      if (tells) std::fprintf(stderr, "coordinator %zu: %s\n", i + 1, line.c_str());
    }
  }
}

int run(const Options& options) {
  support::ZkServers zookeeper(3, support::likeProduction());
  EventLoop loop;
  FailoverCluster cluster(loop, [&](size_t) { return zookeeper.addresses(); });
  cluster.settle();
  Burden burden;
  uint64_t epoch = cluster.epoch();
  uint64_t before = cluster.writes().acknowledged();
  SteadyTime begin = cluster.clock().steadyNow();
  Duration length = 60_s * static_cast<int64_t>(options.count("minutes"));
  SteadyTime heard = begin;
  Duration longest;
  for (uint64_t seen = before; cluster.clock().steadyNow() - begin < length;) {
    cluster.wait(LOOK_EVERY);
    if (cluster.writes().acknowledged() == seen) continue;
    seen = cluster.writes().acknowledged();
    longest = std::max(longest, cluster.clock().steadyNow() - heard);
    heard = cluster.clock().steadyNow();
  }
  longest = std::max(longest, cluster.clock().steadyNow() - heard);
  if (cluster.epoch() != epoch) tellReasons(cluster);
  Report report("soak");
  report.budget("needless_changes", "== 0");
  report.figure("minutes", options.number("minutes"));
  report.figure("needless_changes", static_cast<double>(cluster.epoch() - epoch));
  double seconds = static_cast<double>(length.nanos) / 1e9;
  report.figure("writes_per_s",
                static_cast<double>(cluster.writes().acknowledged() - before) / seconds);
  report.figure("longest_without_an_answer_ms", static_cast<double>(longest.nanos) / 1e6);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run(muster::bench::Options(argc, argv, {{"minutes", 60}}));
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "soak: %s\n", exception.getDescription().cStr());
    return 1;
  }
}
