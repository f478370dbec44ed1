// What a benchmark says to a word that it does not know.
#include "bench/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace muster::bench::options_test {
namespace {

Options parse(std::vector<const char*> words) {
  words.insert(words.begin(), "/some/where/soak");
  return {static_cast<int>(words.size()),
          const_cast<char**>(words.data()),
          {{"minutes", 60}, {"share", 0.5}}};
}

TEST(BenchOptions, whatIsNotGivenHasItsDefault) {
  Options options = parse({"--minutes", "2"});
  EXPECT_EQ(options.count("minutes"), 2u);
  EXPECT_EQ(options.number("share"), 0.5);
}

TEST(BenchOptions, helpNamesEveryOptionWithItsDefault) {
  EXPECT_EXIT(parse({"--help"}), testing::ExitedWithCode(0),
              "^soak: options and their defaults: --minutes 60 --share 0.5\n$");
}

TEST(BenchOptions, whatIsNoOptionAndWhatIsNoNumberEndsTheProgram) {
  EXPECT_EXIT(parse({"--hours", "1"}), testing::ExitedWithCode(2),
              "soak: there is no option \"--hours\"\noptions and their defaults: --minutes 60");
  EXPECT_EXIT(parse({"--minutes"}), testing::ExitedWithCode(2), "soak: --minutes wants a number\n");
  EXPECT_EXIT(parse({"--minutes", "1h"}), testing::ExitedWithCode(2),
              "soak: --minutes wants a number, not \"1h\"\n");
}

}  // namespace
}  // namespace muster::bench::options_test
