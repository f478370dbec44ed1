#include "bench/bench_folder.h"

#include "base/files.h"

#include <kj/debug.h>

#include <cstdlib>
#include <filesystem>

namespace muster::bench {

BenchFolder::BenchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "muster-bench-XXXXXX").string();
  KJ_REQUIRE(mkdtemp(name.data()) != nullptr, "no temporary folder", name.c_str());
  path_ = std::filesystem::canonical(name).string();
}
BenchFolder::~BenchFolder() { std::filesystem::remove_all(path_); }

std::string BenchFolder::write(const std::string& name, const std::string& text) const {
  std::string path = path_ + "/" + name;
  auto written = writeFileAtomically(path, text, 0600);
  KJ_REQUIRE(written.ok(), written.refusal().text.c_str());
  return path;
}

}  // namespace muster::bench
