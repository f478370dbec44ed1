// How long a newcomer waits: a clean build from a fresh clone, without a compiler cache, and the
// fast tests.
#include "bench/report.h"

#include <kj/debug.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

// Runs a shell command with its output on stderr. Returns how long it took, in seconds; throws when
// it failed.
double seconds(const std::string& command) {
  const auto start = std::chrono::steady_clock::now();
  const int status = std::system(("(" + command + ") >&2").c_str());
  KJ_REQUIRE(status == 0, "the command failed", command.c_str(), status);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "muster-build.XXXXXX").string();
    KJ_REQUIRE(mkdtemp(pattern.data()) != nullptr, "no temporary folder", pattern.c_str());
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  KJ_DISALLOW_COPY(TemporaryFolder);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

int main() {
  const TemporaryFolder folder;
  const std::string inClone = "cd '" + folder.path() + "' && ";
  seconds(std::string("git clone -q '") + MUSTER_SOURCE_DIR + "' '" + folder.path() + "'");

  muster::bench::Report report("build");
  report.budget("build_s", "<= 600").budget("fast_tests_s", "<= 60");
  report.figure("build_s", seconds(inClone + "export CCACHE_DISABLE=1 && cmake --preset release && "
                                             "cmake --build --preset release"));
  report.figure("fast_tests_s", seconds(inClone + "ctest --preset release -j \"$(nproc)\" -L "
                                                  "'^(unit|property|golden)$'"));
  return report.print();
}
