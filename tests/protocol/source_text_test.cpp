#include "protocol/source_text.h"

#include <gtest/gtest.h>

namespace muster::source_text_test {
namespace {

TEST(SourceText, countsLinesAndCharactersFromOne) {
  SourceText source(
      "ab\n\xc3\xa4"
      "c\r\n\nend");
  EXPECT_EQ(source.position(0), (TextPosition{1, 1}));
  EXPECT_EQ(source.position(2), (TextPosition{1, 3}));
  EXPECT_EQ(source.position(3), (TextPosition{2, 1}));
  EXPECT_EQ(source.position(5), (TextPosition{2, 2})) << "the umlaut is one character";
  EXPECT_EQ(source.position(8), (TextPosition{3, 1}));
  EXPECT_EQ(source.position(9), (TextPosition{4, 1}));
  EXPECT_EQ(source.position(1000), (TextPosition{4, 4}));
  EXPECT_EQ(source.line(1), "ab");
  EXPECT_EQ(source.line(2),
            "\xc3\xa4"
            "c");
  EXPECT_EQ(source.line(3), "");
  EXPECT_EQ(source.line(4), "end");
  EXPECT_EQ(source.line(0), "");
  EXPECT_EQ(source.line(5), "");
}

TEST(SourceText, showsNothingThatSteersATerminal) {
  SourceText source("a\x1b[31m\xff\tb\xc2\x9b");
  EXPECT_EQ(source.line(1), "a?[31m?\tb?");
}

TEST(SourceText, doesNotShowALineWithoutEnd) {
  std::string text(5000, 'x');
  SourceText source(text);
  EXPECT_EQ(source.line(1), "");
  EXPECT_EQ(source.position(4999), (TextPosition{1, 5000}));
}

TEST(TextFlaw, isWhatIsNoUtf8OrAControlCharacter) {
  struct Case {
    std::string text;
    size_t at;
  };
  const Case bad[] = {{std::string("a\0", 2), 1},
                      {"ab\x1b[0m", 2},
                      {"\x7f", 0},
                      {"\xff", 0},
                      {"\xc0\xaf", 0},
                      {"x\xed\xa0\x80", 1},
                      {"\xf4\x90\x80\x80", 0},
                      {"\xe2\x82", 0},
                      {"\xc2\x85", 0},
                      {"a\rb", 1},
                      {"\xe0\x80\x80", 0},
                      {"\x80", 0}};
  for (const auto& c : bad) {
    SCOPED_TRACE(c.text);
    auto flaw = findTextFlaw(c.text);
    ASSERT_TRUE(flaw);
    EXPECT_EQ(flaw->byte, c.at);
  }
  for (std::string good : {"", "a\tb\r\nc\n", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"}) {
    EXPECT_FALSE(findTextFlaw(good)) << good;
  }
}

}  // namespace
}  // namespace muster::source_text_test
