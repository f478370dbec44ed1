// Bytes into characters, characters into pieces that can be shown.
#include "tests/worker/serving/byte_tokenizer.h"
#include "worker/engine/native/serving/byte_alphabet.h"
#include "worker/engine/native/serving/detokenizer.h"
#include "worker/engine/native/serving/stop_matcher.h"
#include "worker/engine/native/serving/utf8.h"

#include <gtest/gtest.h>

namespace muster::worker::text_test {
namespace {

TEST(Utf8, knowsWhatIsNoCharacter) {
  for (std::string_view valid :
       {"", "abc", "é", "日本", "\U0001F600", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(isUtf8(valid)) << valid;
  }
  for (std::string_view wrong : {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80",
                                 "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "a\xFF"}) {
    EXPECT_FALSE(isUtf8(wrong)) << testing::PrintToString(std::string(wrong));
  }
}

TEST(Utf8, countsTheBytesThatMayStillBecomeACharacter) {
  EXPECT_EQ(unfinishedUtf8(""), 0u);
  EXPECT_EQ(unfinishedUtf8("abc"), 0u);
  EXPECT_EQ(unfinishedUtf8("a\xC3"), 1u);
  EXPECT_EQ(unfinishedUtf8("a\xE2\x82"), 2u);
  EXPECT_EQ(unfinishedUtf8("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(unfinishedUtf8("\xF0\x9F\x98\x80"), 0u);
  EXPECT_EQ(unfinishedUtf8("é\xE2"), 1u);
  EXPECT_EQ(unfinishedUtf8("\xED\xA0"), 0u) << "the beginning of a surrogate can never be one";
  EXPECT_EQ(unfinishedUtf8("\x80\x80"), 0u);
}

TEST(Utf8, repairsWhatIsBroken) {
  EXPECT_EQ(repairUtf8("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(repairUtf8("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(repairUtf8("héllo"), "héllo");
}

TEST(ByteAlphabet, writesEachByteAsOneCharacterAndReadsItBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += alphabetCharacter(static_cast<uint8_t>(byte));
  auto bytes = fromAlphabet(all);
  ASSERT_TRUE(bytes.has_value());
  ASSERT_EQ(bytes->size(), 256u);
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(static_cast<uint8_t>((*bytes)[static_cast<size_t>(byte)]), byte);
  }
  EXPECT_EQ(alphabetCharacter(' '), "Ġ");
  EXPECT_EQ(alphabetCharacter('\n'), "Ċ");
  EXPECT_EQ(alphabetCharacter('a'), "a");
}

TEST(ByteAlphabet, refusesOtherCharacters) {
  for (const char* text : {" ", "\n", "日", "\xC4"}) EXPECT_FALSE(fromAlphabet(text)) << text;
}

TEST(Detokenizer, neverShowsHalfACharacter) {
  ByteTokenizer tokenizer;
  std::string text = "aé日\U0001F600z";
  Detokenizer detokenizer(tokenizer);
  std::string shown;
  for (char c : text) {
    std::string piece = detokenizer.add(static_cast<uint8_t>(c));
    EXPECT_TRUE(isUtf8(piece));
    shown += piece;
  }
  EXPECT_EQ(shown, text);
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, showsTheReplacementForBytesThatCanNeverBeACharacter) {
  ByteTokenizer tokenizer;
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.add(0xFF), "\xEF\xBF\xBD");
  EXPECT_EQ(detokenizer.add(0xE2), "") << "could begin one";
  EXPECT_EQ(detokenizer.add('a'),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(detokenizer.add(0xE2), "");
  EXPECT_EQ(detokenizer.finish(), "\xEF\xBF\xBD");
}

TEST(Detokenizer, showsNothingOfSpecialTokens) {
  ByteTokenizer tokenizer;
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.add(ByteTokenizer::END), "");
}

TEST(StopMatcher, endsBeforeTheFirstStopStringHoweverThePiecesAreCut) {
  std::string text = "one two STOP three";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    StopMatcher matcher({"STOP", "never"});
    std::string shown = matcher.add(text.substr(0, cut));
    shown += matcher.add(text.substr(cut));
    EXPECT_TRUE(matcher.stopped());
    EXPECT_EQ(shown + matcher.finish(), "one two ") << "cut at " << cut;
  }
}

TEST(StopMatcher, holdsBackOnlyWhatMayBeginAStopString) {
  StopMatcher matcher({"abcd"});
  EXPECT_EQ(matcher.add("xab"), "x");
  EXPECT_EQ(matcher.add("a"), "ab") << "the new a may begin one, what came before cannot";
  EXPECT_EQ(matcher.add("bce"), "abce");
  EXPECT_EQ(matcher.add("abc"), "");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.finish(), "abc");
}

TEST(StopMatcher, withoutStopStringsShowsEverythingAtOnce) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.add("abc"), "abc");
  EXPECT_EQ(matcher.finish(), "");
}

}  // namespace
}  // namespace muster::worker::text_test
