// One of four ranks is killed on a whole local cluster: how long until its replica is Ready again,
// and what the other three read meanwhile.
//
// `shard_load_s`: the slices of the killed rank, loaded by the same code in this process, the files
// in the page cache as they are for the replacement. The cluster is asked every 20 ms, so that a
// figure is late by that and by one start of the command.
#include "base/clock.h"
#include "base/event_loop.h"
#include "bench/options.h"
#include "bench/report.h"
#include "sharding/model_spec.h"
#include "tools/make_model/writer.h"
#include "worker/engine/native/slice_load.h"
#include "worker/model_inspector.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <signal.h>
#include <string>
#include <thread>
#include <vector>

namespace muster::worker {
namespace {

using Json = nlohmann::json;

constexpr uint32_t READING_THREADS = 2;  // as a rank has
constexpr sample::Llama SHAPE = {.hidden = 1024,
                                 .layers = 16,
                                 .heads = 16,
                                 .kvHeads = 8,
                                 .intermediate = 2816,
                                 .vocab = 8192,
                                 .dtype = sample::Dtype::BF16};

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
  LocalCluster() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "muster-recover.XXXXXX").string();
    KJ_REQUIRE(mkdtemp(pattern.data()) != nullptr, "no temporary folder", pattern.c_str());
    root_ = std::filesystem::canonical(pattern);
    auto written = sample::writeModel(root_ / "models" / "sample", SHAPE, 2, 7);
    KJ_REQUIRE(written.ok(), "the model could not be written");
    outputOf(muster() + " up --detach --dir " + dir() +
             " --workers 4 --devices 2 --device-memory 1GiB --models " + models() + " 2>&1");
    std::ofstream(root_ / "sample.yaml")
        << "version: 1\nname: sample\nmodel: file:" << models() << "/sample\n"
        << "gpus: 4\nparallel: {tp: 2, pp: 2}\n";
    outputOf(muster() + " apply --wait " + (root_ / "sample.yaml").string() + " 2>&1");
  }
  ~LocalCluster() noexcept(false) {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions(
                                [&] { outputOf(muster() + " down --dir " + dir() + " 2>&1"); })) {
      KJ_LOG(ERROR, "the cluster did not go down", *exception);
    }
    std::filesystem::remove_all(root_);
  }
  KJ_DISALLOW_COPY(LocalCluster);

  std::string models() const { return (root_ / "models").string(); }

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
  std::string dir() const { return (root_ / "D").string(); }
  std::string muster() const {
    return "MUSTER_CONTEXT=" + dir() + "/context.toml XDG_STATE_HOME=" + root_.string() + " " +
           MUSTER_SOURCE_DIR + "/build/release/bin/muster";
  }

  std::filesystem::path root_;
};

// What a process has asked read() for, bytes.
uint64_t readBytes(pid_t pid) {
  std::ifstream io("/proc/" + std::to_string(pid) + "/io");
  std::string name;
  uint64_t value = 0;
  io >> name >> value;
  KJ_REQUIRE(io.good() && name == "rchar:", "no count of read bytes", pid);
  return value;
}

// Seconds that one rank's slices take from the page cache.
double loadSeconds(const std::string& models, uint32_t rank) {
  ModelRoots roots({models});
  std::string source = "file:" + models + "/sample";
  ModelManifest manifest = *inspectModel(roots, source, {"bench"});
  auto spec = sharding::readModelSpec(manifest.configJson, manifest.tensors);
  ShardPlan plan{
      .tensor = 2, .pipeline = 2, .stageFirstLayer = sharding::balancedStages(SHAPE.layers, 2)};
  auto shard = sharding::cutRank(*spec, manifest.tensors, plan, rank);
  auto folder = roots.openModel(source);
  std::vector<SliceFile> files;
  for (const auto& file : manifest.files) {
    files.push_back({file.name, roots.openFile(*folder, file.name).value()});
  }
  EventLoop loop;
  SystemClock clock;
  SteadyTime start = clock.steadyNow();
  SliceLoad load(std::move(files), shard->slices, READING_THREADS);
  KJ_REQUIRE(load.loaded().wait(loop.waitScope()).ok(), "a load failed");
  return static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
}

struct Recovery {
  double readySeconds = 0;
  uint64_t survivorBytes = 0;
};

Recovery killOne(const LocalCluster& cluster, uint32_t victim) {
  SystemClock clock;
  auto before = cluster.ranks();
  uint64_t readBefore = 0;
  for (uint32_t rank = 0; rank < 4; ++rank) {
    if (rank != victim) readBefore += readBytes(before[rank].pid);
  }
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
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  Recovery recovery;
  recovery.readySeconds = static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
  uint64_t readAfter = 0;
  for (uint32_t rank = 0; rank < 4; ++rank) {
    if (rank == victim) continue;
    KJ_REQUIRE(after[rank].pid == before[rank].pid, "a survivor was started again", rank);
    readAfter += readBytes(after[rank].pid);
  }
  recovery.survivorBytes = readAfter - readBefore;
  return recovery;
}

}  // namespace
}  // namespace muster::worker

int main(int argc, char** argv) {
  using namespace muster::worker;  // NOLINT(google-build-using-namespace): a program of this folder
  muster::bench::Options options(argc, argv, {{"rounds", 4}});
  LocalCluster cluster;
  std::vector<double> ready;
  std::vector<double> load;
  double survivorBytes = 0;
  for (uint32_t round = 0; round < options.count("rounds"); ++round) {
    load.push_back(loadSeconds(cluster.models(), round % 4));
    Recovery recovery = killOne(cluster, round % 4);
    ready.push_back(recovery.readySeconds);
    survivorBytes = std::max(survivorBytes, static_cast<double>(recovery.survivorBytes));
    std::fprintf(stderr, "rank %u killed: Ready again after %.2f s; its shard loads in %.2f s\n",
                 round % 4, ready.back(), load.back());
  }
  double shard = muster::bench::percentile(load, 0.5);
  double again = muster::bench::percentile(ready, 1.0);
  muster::bench::Report report("recover");
  // What the survivors read is their group's and their agent's words, never a weight.
  report.budget("excess_s", "<= 0").budget("survivor_bytes_read", "<= 65536");
  report.figure("ready_s", again);
  report.figure("ready_p50_s", muster::bench::percentile(ready, 0.5));
  report.figure("shard_load_s", shard);
  report.figure("excess_s", again - (1.5 * shard + 1));
  report.figure("survivor_bytes_read", survivorBytes);
  return report.print();
}
