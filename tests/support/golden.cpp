#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdlib.h>

namespace muster::testing {
namespace {

std::optional<std::string> readFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void writeFile(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  ASSERT_TRUE(file.flush()) << path << " could not be written";
}

}  // namespace

void expectGolden(std::string_view path, std::string_view actual) {
  auto file = std::filesystem::path(MUSTER_SOURCE_DIR) / "tests" / path;
  const char* update = std::getenv("MUSTER_UPDATE_GOLDEN");
  if (update != nullptr && std::string_view(update) == "1") return writeFile(file, actual);
  auto wanted = readFile(file);
  ASSERT_TRUE(wanted) << file << " is missing; MUSTER_UPDATE_GOLDEN=1 writes it";
  EXPECT_EQ(*wanted, actual) << file << " differs; MUSTER_UPDATE_GOLDEN=1 rewrites it";
}

}  // namespace muster::testing
