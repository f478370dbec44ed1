// What the disk does beside a benchmark: a commit waits for the disks of two ZooKeeper servers, and
// a figure from a machine whose disk is slow says so.
#pragma once

#include "bench/report.h"

#include <kj/debug.h>
#include <kj/thread.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace muster::bench {

// Appends 4 KiB to a file of the temporary folder and flushes it, 20 times a second, in a thread of
// its own, from its making on.
class DiskProbe {
 public:
  DiskProbe() : thread_([this] { run(); }) {}
  ~DiskProbe() noexcept(false) { over_ = true; }
  KJ_DISALLOW_COPY(DiskProbe);

  // Ends the probe, and tells median and p99 as disk_flush_p50_ms and disk_flush_p99_ms.
  void note(Report& report) {
    over_ = true;
    while (!ended_) std::this_thread::yield();
    if (flushes_.empty()) return;
    report.figure("disk_flush_p50_ms", percentile(flushes_, 0.5));
    report.figure("disk_flush_p99_ms", percentile(flushes_, 0.99));
  }

 private:
  void run() {
    std::string path = (std::filesystem::temp_directory_path() / "muster-disk.XXXXXX").string();
    int file = mkstemp(path.data());
    KJ_DEFER(ended_ = true);
    KJ_REQUIRE(file >= 0, "no temporary file", path.c_str());
    unlink(path.c_str());
    const std::string block(4096, 'x');
    while (!over_) {
      auto began = std::chrono::steady_clock::now();
      if (write(file, block.data(), block.size()) < 0 || fdatasync(file) != 0) break;
      auto took = std::chrono::steady_clock::now() - began;
      flushes_.push_back(std::chrono::duration<double, std::milli>(took).count());
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    close(file);
  }

  std::atomic<bool> over_{false};
  std::atomic<bool> ended_{false};
  std::vector<double> flushes_;  // milliseconds; the thread's until it has ended
  kj::Thread thread_;
};

}  // namespace muster::bench
