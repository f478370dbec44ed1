// How fast two ranks' shards come from disk, beside plain reads of the same files in the same state
// of the cache: one after the other, several times, medians.
//
// The model is cut in two by tensors and both ranks load at once. Before each run the files' pages
// are dropped, so that what the kernel fetched from the disk shows whether a byte came twice. Plain
// reads: as many threads, 4 MiB at a time, each into one buffer that it uses again.
#include "base/clock.h"
#include "base/event_loop.h"
#include "bench/options.h"
#include "bench/report.h"
#include "sharding/model_spec.h"
#include "tools/make_model/writer.h"
#include "worker/engine/native/slice_load.h"
#include "worker/model_inspector.h"

#include <kj/debug.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace muster::worker {
namespace {

constexpr uint32_t THREADS = 2;  // of each rank
constexpr uint64_t PIECE = 4 << 20;
constexpr sample::Llama SHAPE = {.hidden = 1024,
                                 .layers = 16,
                                 .heads = 16,
                                 .kvHeads = 8,
                                 .intermediate = 2816,
                                 .vocab = 8192,
                                 .dtype = sample::Dtype::F32};

class ModelOnDisk {
 public:
  ModelOnDisk() {
    std::string pattern = (std::filesystem::temp_directory_path() / "muster-load.XXXXXX").string();
    KJ_REQUIRE(mkdtemp(pattern.data()) != nullptr, "no temporary folder", pattern.c_str());
    root_ = std::filesystem::canonical(pattern);
    auto written = sample::writeModel(root_ / "model", SHAPE, 2, 7);
    KJ_REQUIRE(written.ok(), "the model could not be written");
    for (const auto& entry : std::filesystem::directory_iterator(root_ / "model")) {
      if (entry.path().extension() == ".safetensors") files_.push_back(entry.path().string());
    }
  }
  ~ModelOnDisk() { std::filesystem::remove_all(root_); }
  KJ_DISALLOW_COPY(ModelOnDisk);

  std::string root() const { return root_.string(); }
  std::string source() const { return "file:" + (root_ / "model").string(); }
  const std::vector<std::string>& files() const { return files_; }

  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& file : files_) sum += std::filesystem::file_size(file);
    return sum;
  }
  void dropPages() const {
    for (const auto& file : files_) {
      kj::AutoCloseFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
      KJ_SYSCALL(::fdatasync(fd));
      KJ_REQUIRE(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "pages stay", file.c_str());
    }
  }

 private:
  std::filesystem::path root_;
  std::vector<std::string> files_;
};

// Bytes that this process has made the kernel fetch from a disk.
uint64_t fetchedBytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  uint64_t value = 0;
  while (io >> name >> value) {
    if (name == "read_bytes:") return value;
  }
  KJ_FAIL_REQUIRE("no count of read bytes");
}

double secondsOf(const std::function<void()>& work) {
  SystemClock clock;
  SteadyTime start = clock.steadyNow();
  work();
  return static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
}

void readPlainly(const ModelOnDisk& model) {
  std::vector<kj::AutoCloseFd> files;
  std::vector<std::pair<int, uint64_t>> pieces;  // file and offset
  for (const auto& name : model.files()) {
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
        auto [fd, at] = pieces[mine];
        KJ_SYSCALL(::pread(fd, buffer.data(), PIECE, static_cast<off_t>(at)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

class Ranks {
 public:
  explicit Ranks(const ModelOnDisk& model) : model_(model), roots_({model.root()}) {
    manifest_ = *inspectModel(roots_, model.source(), {"bench"});
    auto spec = sharding::readModelSpec(manifest_.configJson, manifest_.tensors);
    ShardPlan plan{.tensor = 2, .pipeline = 1, .stageFirstLayer = {0}};
    for (uint32_t rank = 0; rank < 2; ++rank) {
      slices_.push_back(sharding::cutRank(*spec, manifest_.tensors, plan, rank)->slices);
    }
  }

  // Both at once. Returns their bytes.
  uint64_t load() {
    std::vector<kj::Own<SliceLoad>> loads;
    for (const auto& slices : slices_) {
      loads.push_back(kj::heap<SliceLoad>(openFiles(), slices, THREADS));
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
  std::vector<SliceFile> openFiles() const {
    auto folder = roots_.openModel(model_.source());
    std::vector<SliceFile> files;
    for (const auto& file : manifest_.files) {
      files.push_back({file.name, roots_.openFile(*folder, file.name).value()});
    }
    return files;
  }

  const ModelOnDisk& model_;
  ModelRoots roots_;
  ModelManifest manifest_;
  std::vector<std::vector<sharding::Slice>> slices_;
  EventLoop loop_;
};

}  // namespace
}  // namespace muster::worker

int main(int argc, char** argv) {
  using namespace muster::worker;  // NOLINT(google-build-using-namespace): a program of this folder
  muster::bench::Options options(argc, argv, {{"rounds", 5}});
  ModelOnDisk model;
  Ranks ranks(model);
  std::vector<double> plain;
  std::vector<double> loaded;
  std::vector<double> ratios;
  double fetchedShare = 0;
  for (size_t round = 0; round < options.count("rounds"); ++round) {
    model.dropPages();
    double plainSeconds = secondsOf([&] { readPlainly(model); });
    model.dropPages();
    uint64_t before = fetchedBytes();
    uint64_t bytes = 0;
    double loadSeconds = secondsOf([&] { bytes = ranks.load(); });
    auto total = static_cast<double>(model.bytes());
    fetchedShare = std::max(fetchedShare, static_cast<double>(fetchedBytes() - before) / total);
    plain.push_back(total / plainSeconds / 1e9);
    loaded.push_back(static_cast<double>(bytes) / loadSeconds / 1e9);
    ratios.push_back(loaded.back() / plain.back());
    std::fprintf(stderr, "round %zu: %.2f GB/s loaded, %.2f GB/s read\n", round + 1, loaded.back(),
                 plain.back());
  }
  muster::bench::Report report("load");
  report.budget("ratio", ">= 0.9").budget("fetched_per_byte", "<= 1.02");
  report.figure("gb_s", muster::bench::percentile(loaded, 0.5));
  report.figure("raw_gb_s", muster::bench::percentile(plain, 0.5));
  report.figure("ratio", muster::bench::percentile(ratios, 0.5));
  report.figure("fetched_per_byte", fetchedShare);
  return report.print();
}
