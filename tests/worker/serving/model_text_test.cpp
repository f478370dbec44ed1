// What is read from a model's folder; SentencePiece models are learned here, by the library itself.
#include "worker/engine/native/serving/model_text.h"

#include "base/files.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <filesystem>
#include <fstream>

namespace muster::worker::model_text_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class Sentences final : public sentencepiece::SentenceIterator {
 public:
  bool done() const override { return next_ == 2 * COUNT; }
  void Next() override { say(++next_); }
  const std::string& value() const override { return sentence_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  static constexpr int COUNT = 40;
  void say(int number) {
    sentence_ = number % 2 == 0 ? "the workers obey the leader " + std::to_string(number)
                                : "a rank loads its shard and keeps the weights";
  }
  int next_ = 0;
  std::string sentence_ = "the workers obey the leader";
};

// Learned from a few sentences, with the tokens of Llama 2: <unk> 0, <s> 1, </s> 2, then bytes.
const std::string& sentencePieceModel() {
  static const std::string MODEL = [] {
    Sentences sentences;
    std::string model;
    auto status = sentencepiece::SentencePieceTrainer::Train(
        "--vocab_size=320 --model_type=bpe --byte_fallback=true --character_coverage=1.0 "
        "--hard_vocab_limit=false --minloglevel=2",
        &sentences, &model);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return model;
  }();
  return MODEL;
}

class ModelTextTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() + "/" + name, std::ios::binary) << text;
  }
  void copy(const std::string& golden, const std::string& name) {
    std::filesystem::copy_file(std::string(MUSTER_SOURCE_DIR) + "/tests/golden/tokenizer/" + golden,
                               folder_.path() + "/" + name);
  }
  Result<std::shared_ptr<const ModelText>> read() {
    ModelRoots roots({folder_.path()});
    auto opened = roots.openModel("file:" + folder_.path());
    if (!opened) return opened.refusal();
    return readModelText(roots, *opened);
  }
  std::shared_ptr<const ModelText> readGood() {
    auto text = read();
    EXPECT_TRUE(text.ok()) << text.refusal().text;
    return text.ok() ? *text : nullptr;
  }
  std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::string& text,
                              SpecialTokens specials = SpecialTokens::AS_TEXT) {
    auto tokens = tokenizer.encode({{text, specials}});
    EXPECT_TRUE(tokens.ok());
    return tokens.ok() ? *tokens : std::vector<TokenId>();
  }

  TemporaryFolder folder_;
};

TEST_F(ModelTextTest, aFolderMaySayNothing) {
  auto text = readGood();
  EXPECT_EQ(text->tokenizer, nullptr);
  EXPECT_TRUE(text->endTokens.empty());
}

TEST_F(ModelTextTest, readsTokenizerTemplateEndTokensAndDefaults) {
  copy("llama3.json", "tokenizer.json");
  write("tokenizer_config.json",
        R"({"chat_template": "<|im_start|>", "bos_token": {"content": "<|begin_of_text|>"},
            "eos_token": "<|im_end|>"})");
  write("generation_config.json",
        R"({"eos_token_id": [7, 9], "temperature": 0.6, "top_p": 0.9, "top_k": 20})");
  write("config.json", R"({"eos_token_id": 11})");
  auto text = readGood();
  ASSERT_NE(text->tokenizer, nullptr);
  EXPECT_THAT(text->endTokens, ElementsAre(7, 9, 11, *text->tokenizer->find("<|im_end|>")));
  EXPECT_EQ(text->chatTemplate, "<|im_start|>");
  EXPECT_EQ(text->beginText, "<|begin_of_text|>");
  EXPECT_EQ(text->sampling.temperature, 0.6);
  EXPECT_EQ(text->sampling.topP, 0.9);
  EXPECT_EQ(text->sampling.topK, 20u);
}

TEST_F(ModelTextTest, takesTheTemplateNamedDefaultOrTheOneInItsOwnFile) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tools", "template": "a"},
                              {"name": "default", "template": "b"}]})");
  EXPECT_EQ(readGood()->chatTemplate, "b");
  write("chat_template.jinja", "c");
  EXPECT_EQ(readGood()->chatTemplate, "c");
}

TEST_F(ModelTextTest, readsSentencePieceModels) {
  write("tokenizer.model", sentencePieceModel());
  write("tokenizer_config.json",
        R"({"added_tokens_decoder": {"400": {"content": "<|im_end|>", "special": true}}})");
  auto text = readGood();
  const Tokenizer& tokenizer = *text->tokenizer;
  EXPECT_THAT(tokenizer.prefix(), ElementsAre(1));
  EXPECT_EQ(tokenizer.size(), 401u);
  auto tokens = encode(tokenizer, "the leader, \u65E5!");
  std::string bytes;
  for (TokenId token : tokens) bytes += tokenizer.bytesOf(token);
  EXPECT_EQ(bytes, " the leader, \u65E5!") << "its own space in front, unknown characters as bytes";
  EXPECT_TRUE(tokenizer.isSpecial(1));
  EXPECT_TRUE(tokenizer.isSpecial(400));
  EXPECT_EQ(tokenizer.find("</s>"), 2u);
  EXPECT_EQ(tokenizer.find("no such piece"), std::nullopt);
  EXPECT_THAT(encode(tokenizer, "a</s><|im_end|>", SpecialTokens::PARSE),
              testing::AllOf(Contains(2), Contains(400)));
  EXPECT_THAT(encode(tokenizer, "a</s><|im_end|>"),
              testing::AllOf(testing::Not(Contains(2)), testing::Not(Contains(400))));
}

TEST_F(ModelTextTest, aTokenizerJsonWeCannotReadGivesWayToTheModelBesideIt) {
  write("tokenizer.json", R"({"model": {"type": "BPE"}, "pre_tokenizer": null})");
  auto refused = read();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
  write("tokenizer.model", sentencePieceModel());
  EXPECT_NE(readGood()->tokenizer, nullptr);
}

TEST_F(ModelTextTest, refusesBrokenFilesByName) {
  write("tokenizer.model", "this is no model");
  EXPECT_THAT(read().refusal().text, HasSubstr("tokenizer.model"));
  write("tokenizer_config.json", "{");
  EXPECT_THAT(read().refusal().text, HasSubstr("tokenizer_config.json"));
}

TEST_F(ModelTextTest, followsNoLinkOutOfTheRoots) {
  TemporaryFolder outside;
  std::ofstream(outside.path() + "/secret.json") << "{}";
  std::filesystem::create_symlink(outside.path() + "/secret.json",
                                  folder_.path() + "/tokenizer_config.json");
  EXPECT_EQ(read().refusal().code, RefusalCode::MODEL_OUTSIDE_ROOTS);
}

}  // namespace
}  // namespace muster::worker::model_text_test
