// The main() of all our test programs. A program may hold the tests of several files; ctest runs
// each file's in a process of their own: `PROGRAM --file=tests/base/co_test.cpp`. A filter that is
// given to gtest itself goes first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view FILE_FLAG = "--file=";
constexpr const char* EVERYTHING = "*";

// `place` is the path as the compiler was given it: absolute, or relative to the build's folder.
bool liesIn(std::string_view place, std::string_view file) {
  return place == file || place.ends_with("/" + std::string(file));
}

// gtest's filter for the tests of `file`; empty when there is none.
std::string filterFor(std::string_view file) {
  std::string filter;
  const auto& program = *testing::UnitTest::GetInstance();
  for (int i = 0; i < program.total_test_suite_count(); ++i) {
    const auto& suite = *program.GetTestSuite(i);
    for (int k = 0; k < suite.total_test_count(); ++k) {
      const auto& test = *suite.GetTestInfo(k);
      if (liesIn(test.file(), file)) filter += std::string(suite.name()) + "." + test.name() + ":";
    }
  }
  return filter;
}

// Whether there is something to run.
bool select(std::string_view file) {
  if (GTEST_FLAG_GET(filter) != EVERYTHING) return true;
  std::string filter = filterFor(file);
  if (filter.empty()) return false;
  GTEST_FLAG_SET(filter, filter);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with(FILE_FLAG)) {
      std::fprintf(stderr, "unknown word: %s\n", argv[i]);
      return 2;
    }
    word.remove_prefix(FILE_FLAG.size());
    if (!select(word)) {
      std::fprintf(stderr, "%s has no test of a file %s\n", argv[0], argv[i] + FILE_FLAG.size());
      return 1;
    }
  }
  return RUN_ALL_TESTS();
}
