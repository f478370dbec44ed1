// One of four ranks is killed on a whole local cluster: how long until its replica is Ready again,
// and what the other three read meanwhile.
//
// `shard_load_s`: the slices of the killed rank, loaded by the same code in this process. The
// weights leave the page cache before it and before the kill, so that both come from the disk, and
// who reads weights is seen in what the kernel fetched for it: that is `survivor_bytes_read`.
// `survivor_messages_bytes` is all that survivors read, what their group and their agents tell them
// included. The cluster is asked every 20 ms, so that a figure is late by that and by one start of
// the command.
#include "base/clock.h"
#include "base/event_loop.h"
#include "bench/bench_folder.h"
#include "bench/benched_model.h"
#include "bench/options.h"
#include "bench/report.h"
#include "sharding/model_spec.h"
#include "worker/engine/native/slice_load.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <signal.h>
#include <string>
#include <thread>
#include <vector>

namespace muster::bench {
namespace {

using Json = nlohmann::json;

constexpr uint32_t READING_THREADS = 2;  // as a rank has
constexpr std::chrono::milliseconds PAUSE{20};
// What a command prints. Throws when it fails.
std::string outputOf(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  KJ_REQUIRE(pipe != nullptr, "no such command", command.c_str());
  std::string text;
  char buffer[4096];
  while (size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, count);
  int status = ::pclose(pipe);
  KJ_REQUIRE(status == 0, "a command failed", command.c_str(), text.c_str());
  return text;
}

struct Rank {
  pid_t pid = 0;
  uint64_t generation = 0;
  bool ready = false;
};

// A cluster of four workers of two devices below a temporary folder, with the model deployed.
class LocalCluster {
 public:
  LocalCluster() : model_(root_.path(), sample::Dtype::BF16) {
    outputOf(muster() + " up --detach --dir " + dir() +
             " --workers 4 --devices 2 --device-memory 1GiB --models " + root_.path() + " 2>&1");
    std::string document =
        root_.write("sample.yaml", "version: 1\nname: sample\nmodel: " + model_.source() +
                                       "\ngpus: 4\nparallel: {tp: 2, pp: 2}\n");
    outputOf(muster() + " apply --wait " + document + " 2>&1");
  }
  ~LocalCluster() noexcept(false) {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions(
                                [&] { outputOf(muster() + " down --dir " + dir() + " 2>&1"); })) {
      KJ_LOG(ERROR, "the cluster did not go down", *exception);
    }
  }
  KJ_DISALLOW_COPY(LocalCluster);

  const BenchedModel& model() const { return model_; }

  // From schema level 2 on single ranks are replaced; it rises once all coordinators have said so.
  void awaitSingleReplacement() const {
    auto level = [&] {
      return std::stoi(outputOf(muster() + " admin status -o value=/schema_level"));
    };
    while (level() < 2) std::this_thread::sleep_for(PAUSE);
  }
  // By rank.
  std::vector<Rank> ranks() const {
    std::vector<Rank> ranks(4);
    Json answer = Json::parse(outputOf(muster() + " get ranks sample -o json"));
    for (const auto& one : answer.at("items")) {
      ranks.at(one.at("rank").get<size_t>()) = {one.at("pid"), one.at("generation"),
                                                one.at("phase") == "Ready"};
    }
    return ranks;
  }

 private:
  std::string dir() const { return root_.path() + "/D"; }
  std::string muster() const {
    return "MUSTER_CONTEXT=" + dir() + "/context.toml XDG_STATE_HOME=" + root_.path() + " " +
           MUSTER_SOURCE_DIR + "/build/release/bin/muster";
  }

  BenchFolder root_;
  BenchedModel model_;
};

// What processes have read so far, in bytes, all together.
struct BytesRead {
  uint64_t fromDisk = 0;
  uint64_t all = 0;
};

BytesRead bytesRead(const std::vector<Rank>& ranks, uint32_t without) {
  BytesRead sum;
  for (uint32_t rank = 0; rank < ranks.size(); ++rank) {
    if (rank == without) continue;
    std::string pid = std::to_string(ranks[rank].pid);
    sum.fromDisk += ioCounter(pid, "read_bytes");
    sum.all += ioCounter(pid, "rchar");
  }
  return sum;
}

// Seconds that one rank's slices take from the disk.
double loadSeconds(const BenchedModel& model, uint32_t rank) {
  uint32_t layers = benchedLlama(sample::Dtype::BF16).layers;
  ShardPlan plan{
      .tensor = 2, .pipeline = 2, .stageFirstLayer = sharding::balancedStages(layers, 2)};
  auto slices = model.slicesOf(plan, rank);
  auto files = model.open();
  model.leavePageCache();
  EventLoop loop;
  SystemClock clock;
  SteadyTime start = clock.steadyNow();
  worker::SliceLoad load(std::move(files), slices, READING_THREADS);
  KJ_REQUIRE(load.loaded().wait(loop.waitScope()).ok(), "a load failed");
  return static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
}

struct Recovery {
  double readySeconds = 0;
  BytesRead bySurvivors;
};

Recovery killOne(const LocalCluster& cluster, uint32_t victim) {
  SystemClock clock;
  auto before = cluster.ranks();
  cluster.model().leavePageCache();
  BytesRead readBefore = bytesRead(before, victim);
  SteadyTime start = clock.steadyNow();
  KJ_SYSCALL(::kill(before[victim].pid, SIGKILL));
  std::vector<Rank> after;
  auto isBack = [&] {
    after = cluster.ranks();
    return std::all_of(after.begin(), after.end(), [&](const Rank& one) {
      return one.ready && one.generation > before[0].generation;
    });
  };
  while (!isBack()) {
    KJ_REQUIRE(clock.steadyNow() - start < 60_s, "the replica did not come back");
    std::this_thread::sleep_for(PAUSE);
  }
  Recovery recovery;
  recovery.readySeconds = static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
  for (uint32_t rank = 0; rank < 4; ++rank) {
    bool stayed = rank == victim || after[rank].pid == before[rank].pid;
    KJ_REQUIRE(stayed, "a survivor was started again", rank);
  }
  BytesRead readAfter = bytesRead(after, victim);
  recovery.bySurvivors = {readAfter.fromDisk - readBefore.fromDisk, readAfter.all - readBefore.all};
  return recovery;
}

int run(size_t rounds) {
  LocalCluster cluster;
  cluster.awaitSingleReplacement();
  std::vector<double> ready;
  std::vector<double> load;
  BytesRead most;
  for (uint32_t round = 0; round < rounds; ++round) {
    load.push_back(loadSeconds(cluster.model(), round % 4));
    Recovery recovery = killOne(cluster, round % 4);
    ready.push_back(recovery.readySeconds);
    most.fromDisk = std::max(most.fromDisk, recovery.bySurvivors.fromDisk);
    most.all = std::max(most.all, recovery.bySurvivors.all);
    std::fprintf(stderr, "rank %u killed: Ready again after %.2f s; its shard loads in %.2f s\n",
                 round % 4, ready.back(), load.back());
  }
  double shard = percentile(load, 0.5);
  double again = percentile(ready, 1.0);
  Report report("recover");
  report.budget("excess_s", "<= 0").budget("survivor_bytes_read", "== 0");
  report.figure("ready_s", again).figure("ready_p50_s", percentile(ready, 0.5));
  report.figure("shard_load_s", shard).figure("excess_s", again - (1.5 * shard + 1));
  report.figure("survivor_bytes_read", static_cast<double>(most.fromDisk));
  report.figure("survivor_messages_bytes", static_cast<double>(most.all));
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  muster::bench::Options options(argc, argv, {{"rounds", 4}});
  return muster::bench::run(options.count("rounds"));
}
