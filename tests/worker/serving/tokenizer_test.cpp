// Against tokens that another implementation found: tests/support/python/slow_tokenizer.py, with
// which the JavaScript package @huggingface/tokenizers 0.2.0 agrees on every text.
#include "base/files.h"
#include "worker/engine/native/serving/bpe_merges.h"
#include "worker/engine/native/serving/regex.h"
#include "worker/engine/native/serving/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace muster::worker::tokenizer_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::string fileText(const std::string& name) {
  auto text = readFile(std::string(MUSTER_SOURCE_DIR) + "/tests/golden/tokenizer/" + name, 1_MiB);
  EXPECT_TRUE(text.ok()) << name;
  return text.ok() ? *text : "";
}

std::unique_ptr<Tokenizer> load(const std::string& style) {
  auto tokenizer = readTokenizerJson(fileText(style + ".json"));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.refusal().text;
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::string& text,
                            SpecialTokens specials = SpecialTokens::PARSE) {
  auto tokens = tokenizer.encode({{text, specials}});
  EXPECT_TRUE(tokens.ok()) << tokens.refusal().text;
  return tokens.ok() ? *tokens : std::vector<TokenId>();
}

std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string bytes;
  for (TokenId token : tokens) bytes += tokenizer.bytesOf(token);
  return bytes;
}

// The smallest tokenizer.json, with one change.
json smallest() {
  json vocabulary;
  for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = c - 'a';
  vocabulary["ab"] = 26;
  vocabulary["abc"] = 27;
  return {{"added_tokens", json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"a b", "ab c"}}}}};
}
Refusal refusalOf(const json& document) {
  auto tokenizer = readTokenizerJson(document.dump());
  EXPECT_FALSE(tokenizer.ok()) << "it was taken";
  return tokenizer.ok() ? Refusal{} : tokenizer.refusal();
}

TEST(Tokenizer, findsTheTokensThatOthersFind) {
  json expected = json::parse(fileText("expected.json"));
  ASSERT_GT(expected.size(), 30u);
  for (std::string style : {"gpt2", "llama3", "qwen2"}) {
    auto tokenizer = load(style);
    ASSERT_TRUE(tokenizer);
    for (const auto& row : expected) {
      auto text = row["text"].get<std::string>();
      EXPECT_EQ(encode(*tokenizer, text), row[style].get<std::vector<TokenId>>())
          << style << ": " << row["text"].dump();
    }
  }
}

TEST(Tokenizer, givesTheBytesBackThatItWasGiven) {
  for (std::string style : {"gpt2", "llama3"}) {  // qwen2 composes
    auto tokenizer = load(style);
    for (const auto& row : json::parse(fileText("expected.json"))) {
      auto text = row["text"].get<std::string>();
      EXPECT_EQ(decode(*tokenizer, encode(*tokenizer, text)), text);
    }
  }
}

TEST(Tokenizer, parsesSpecialTokensOnlyWhereItIsAsked) {
  auto tokenizer = load("llama3");
  auto end = tokenizer->find("<|im_end|>");
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(tokenizer->isSpecial(*end));
  EXPECT_THAT(encode(*tokenizer, "<|im_end|>"), ElementsAre(*end));
  auto typed = encode(*tokenizer, "<|im_end|>", SpecialTokens::AS_TEXT);
  EXPECT_GT(typed.size(), 1u);
  EXPECT_THAT(typed, testing::Not(testing::Contains(*end)));
  EXPECT_EQ(decode(*tokenizer, typed), "<|im_end|>");
}

TEST(Tokenizer, mergesAcrossThePartsOfAText) {
  auto tokenizer = load("llama3");
  auto whole = encode(*tokenizer, "user\n\n  the coordinator");
  auto parts = tokenizer->encode({{"user\n", SpecialTokens::PARSE},
                                  {"\n  the coord", SpecialTokens::AS_TEXT},
                                  {"inator", SpecialTokens::PARSE}});
  EXPECT_EQ(*parts, whole);
}

TEST(Tokenizer, saysWhatBelongsInFrontOfAPrompt) {
  auto tokenizer = load("llama3");
  EXPECT_THAT(tokenizer->prefix(), ElementsAre(*tokenizer->find("<|begin_of_text|>")));
  EXPECT_TRUE(load("qwen2")->prefix().empty());
}

TEST(Tokenizer, refusesTextThatIsNotUtf8) {
  auto tokenizer = load("gpt2");
  auto refused = tokenizer->encode({{"a\xFF", SpecialTokens::AS_TEXT}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::INVALID_VALUE);
}

TEST(Tokenizer, encodesAWordAsLongAsAPromptInReasonableTime) {
  auto tokenizer = load("llama3");
  std::string longWord(300'000, 'a');
  EXPECT_EQ(decode(*tokenizer, encode(*tokenizer, longWord)), longWord);
  std::string blanks(300'000, ' ');
  EXPECT_EQ(decode(*tokenizer, encode(*tokenizer, blanks)), blanks);
}

TEST(Tokenizer, leavesOutBytesThatItHasNoSymbolFor) {
  auto tokenizer = readTokenizerJson(smallest().dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.refusal().text;
  EXPECT_THAT(encode(**tokenizer, "abcZab"), ElementsAre(27, 26));
}

TEST(Tokenizer, addedTokensMayTakeTheSpacesRoundThem) {
  json document = smallest();
  document["added_tokens"].push_back(
      {{"id", 30}, {"content", "<m>"}, {"lstrip", true}, {"rstrip", true}, {"special", false}});
  document["added_tokens"].push_back({{"id", 31}, {"content", "<m>x"}});
  auto tokenizer = readTokenizerJson(document.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.refusal().text;
  EXPECT_THAT(encode(**tokenizer, "a \n<m>  b"), ElementsAre(0, 30, 1));
  EXPECT_THAT(encode(**tokenizer, "<m>x<m>"), ElementsAre(31, 30)) << "the longest first";
}

TEST(Tokenizer, refusesWhatWouldTokenizeOtherwiseThanItsAuthorMeant) {
  struct Case {
    const char* name;
    const char* path;
    json value;
    RefusalCode code;
    const char* says;
  };
  const Case cases[] = {
      {"another model", "/model/type", "Unigram", RefusalCode::NOT_SUPPORTED_YET, "Unigram"},
      {"a normalizer",
       "/normalizer",
       {{"type", "Lowercase"}},
       RefusalCode::NOT_SUPPORTED_YET,
       "Lowercase"},
      {"another cut",
       "/pre_tokenizer",
       {{"type", "Whitespace"}},
       RefusalCode::NOT_SUPPORTED_YET,
       "Whitespace"},
      {"no bytes", "/pre_tokenizer", nullptr, RefusalCode::NOT_SUPPORTED_YET, "byte-level"},
      {"a behaviour",
       "/pre_tokenizer",
       {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithNext"}},
       RefusalCode::NOT_SUPPORTED_YET,
       "MergedWithNext"},
      {"a broken pattern",
       "/pre_tokenizer",
       {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}},
       RefusalCode::MODEL_CONFIG_INVALID,
       "pattern ("},
      {"dropout", "/model/dropout", 0.1, RefusalCode::NOT_SUPPORTED_YET, "dropout"},
      {"a suffix", "/model/end_of_word_suffix", "</w>", RefusalCode::NOT_SUPPORTED_YET,
       "end_of_word_suffix"},
      {"a merge of nothing",
       "/model/merges",
       {"a b", "q r"},
       RefusalCode::MODEL_CONFIG_INVALID,
       "q r"},
      {"a merge of one", "/model/merges", {"ab"}, RefusalCode::MODEL_CONFIG_INVALID, "no pair"},
      {"an id too large", "/model/vocab/a", 4'000'000'000, RefusalCode::MODEL_CONFIG_INVALID,
       "4000000000"},
      {"an id below zero", "/model/vocab/a", -1, RefusalCode::MODEL_CONFIG_INVALID, "-1"},
      {"no vocabulary", "/model/vocab", json::array(), RefusalCode::MODEL_CONFIG_INVALID, "vocab"},
      {"whole words",
       "/added_tokens",
       {{{"id", 40}, {"content", "w"}, {"single_word", true}}},
       RefusalCode::NOT_SUPPORTED_YET,
       "single_word"},
      {"a token without id",
       "/added_tokens",
       {{{"content", "w"}}},
       RefusalCode::MODEL_CONFIG_INVALID,
       "without id"},
      {"another wrapping",
       "/post_processor",
       {{"type", "BertProcessing"}},
       RefusalCode::NOT_SUPPORTED_YET,
       "BertProcessing"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = smallest();
    document[json::json_pointer(c.path)] = c.value;
    Refusal refusal = refusalOf(document);
    EXPECT_EQ(refusal.code, c.code);
    EXPECT_THAT(refusal.text, HasSubstr(c.says));
  }
}

TEST(Tokenizer, refusesBrokenFiles) {
  for (std::string text : {"", "[]", "{", "{\"a\":1,\"a\":2}"}) {
    auto refused = readTokenizerJson(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.refusal().code, RefusalCode::MODEL_CONFIG_INVALID);
  }
}

TEST(BpeMerges, joinsTheLowestRankAndOfEqualOnesTheLeftmost) {
  BpeMerges merges;
  merges.add(1, 1, {0, 2});  // aa
  merges.add(2, 1, {1, 3});  // aaa
  EXPECT_THAT(merges.apply({1, 1, 1}), ElementsAre(3));
  EXPECT_THAT(merges.apply({1, 1, 1, 1, 1}), ElementsAre(2, 3));
  EXPECT_TRUE(merges.apply({}).empty());
  EXPECT_THAT(merges.apply({9}), ElementsAre(9));
}

TEST(Regex, aPatternThatBacktracksWithoutBoundIsStopped) {
  auto regex = Regex::compile("(a+)+$");
  ASSERT_TRUE(regex.ok());
  auto refused = regex->findAll(std::string(64, 'a') + "!");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::TOO_LARGE);
}

TEST(Regex, spacesAreUnicodes) {
  auto regex = Regex::compile(R"(\s+)");
  EXPECT_THAT(*regex->findAll("a\u00A0\u3000b"), ElementsAre(TextRange{1, 6}));
  EXPECT_TRUE(regex->findAll("\u180E\u200B")->empty());
  EXPECT_THAT(*Regex::compile(R"(\\s)")->findAll("\\s"), ElementsAre(TextRange{0, 2}));
}

}  // namespace
}  // namespace muster::worker::tokenizer_test
