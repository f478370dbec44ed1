// How fast two ranks' shards come from disk, beside plain reads of the same files in the same state
// of the cache: one after the other, several times, medians.
//
// The model is cut in two by tensors and both ranks load at once. Before each run the files' pages
// are dropped, so that what the kernel fetched from the disk shows whether a byte came twice. Plain
// reads: as many threads, 4 MiB at a time, each into one buffer that it uses again.
#include "base/clock.h"
#include "base/event_loop.h"
#include "bench/bench_folder.h"
#include "bench/benched_model.h"
#include "bench/options.h"
#include "bench/report.h"
#include "worker/engine/native/slice_load.h"

#include <kj/debug.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace muster::bench {
namespace {

using worker::AlignedBytes;
using worker::SliceLoad;

constexpr uint32_t THREADS = 2;  // of each rank
constexpr uint64_t PIECE = 4 << 20;

uint64_t bytesOf(const std::vector<std::string>& files) {
  uint64_t sum = 0;
  for (const auto& file : files) sum += std::filesystem::file_size(file);
  return sum;
}

double secondsOf(const std::function<void()>& work) {
  SystemClock clock;
  SteadyTime start = clock.steadyNow();
  work();
  return static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
}

void readPlainly(const std::vector<std::string>& names) {
  std::vector<kj::AutoCloseFd> files;
  std::vector<std::pair<int, uint64_t>> pieces;  // file and offset
  for (const auto& name : names) {
    files.emplace_back(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    for (uint64_t at = 0; at < std::filesystem::file_size(name); at += PIECE) {
      pieces.emplace_back(files.back().get(), at);
    }
  }
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 2 * THREADS; ++i) {
    threads.emplace_back([&] {
      AlignedBytes buffer(PIECE);
      for (size_t mine = next++; mine < pieces.size(); mine = next++) {
        const auto& piece = pieces[mine];
        KJ_SYSCALL(::pread(piece.first, buffer.data(), PIECE, static_cast<off_t>(piece.second)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

// Two ranks that load at the same time.
class Ranks {
 public:
  explicit Ranks(const BenchedModel& model) : model_(model) {
    ShardPlan plan{.tensor = 2, .pipeline = 1, .stageFirstLayer = {0}};
    for (uint32_t rank = 0; rank < 2; ++rank) slices_.push_back(model.slicesOf(plan, rank));
  }

  // Returns their bytes.
  uint64_t load() {
    std::vector<kj::Own<SliceLoad>> loads;
    for (const auto& slices : slices_) {
      loads.push_back(kj::heap<SliceLoad>(model_.open(), slices, THREADS));
    }
    uint64_t bytes = 0;
    for (auto& load : loads) {
      auto loaded = load->loaded().wait(loop_.waitScope());
      KJ_REQUIRE(loaded.ok(), "a load failed", loaded.refusal().text.c_str());
      bytes += load->loadedBytes();
    }
    return bytes;
  }

 private:
  const BenchedModel& model_;
  std::vector<std::vector<sharding::Slice>> slices_;
  EventLoop loop_;
};

int run(size_t rounds) {
  BenchFolder folder;
  BenchedModel model(folder.path(), sample::Dtype::F32);
  const auto files = model.weightFiles();
  const auto total = static_cast<double>(bytesOf(files));
  Ranks ranks(model);
  std::vector<double> plain;
  std::vector<double> loaded;
  std::vector<double> ratios;
  double fetchedShare = 0;
  for (size_t round = 0; round < rounds; ++round) {
    model.leavePageCache();
    double plainSeconds = secondsOf([&] { readPlainly(files); });
    model.leavePageCache();
    uint64_t before = ioCounter("self", "read_bytes");
    uint64_t bytes = 0;
    double loadSeconds = secondsOf([&] { bytes = ranks.load(); });
    uint64_t fetched = ioCounter("self", "read_bytes") - before;
    fetchedShare = std::max(fetchedShare, static_cast<double>(fetched) / total);
    plain.push_back(total / plainSeconds / 1e9);
    loaded.push_back(static_cast<double>(bytes) / loadSeconds / 1e9);
    ratios.push_back(loaded.back() / plain.back());
    std::fprintf(stderr, "round %zu: %.2f GB/s loaded, %.2f GB/s read\n", round + 1, loaded.back(),
                 plain.back());
  }
  Report report("load");
  report.budget("ratio", ">= 0.9").budget("fetched_per_byte", "<= 1.02");
  report.figure("gb_s", percentile(loaded, 0.5)).figure("raw_gb_s", percentile(plain, 0.5));
  report.figure("ratio", percentile(ratios, 0.5)).figure("fetched_per_byte", fetchedShare);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  muster::bench::Options options(argc, argv, {{"rounds", 5}});
  return muster::bench::run(options.count("rounds"));
}
