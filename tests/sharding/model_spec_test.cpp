#include "sharding/model_spec.h"

#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace muster::sharding::model_spec_test {
namespace {

using test::readConfig;
using test::specOf;
using test::tensorsOf;
using test::tinyConfig;
using testing::ElementsAre;
using testing::HasSubstr;

// Mistral-7B-v0.1; 7 241 732 096 parameters by its model card.
const char* const MISTRAL_7B = R"({"architectures": ["MistralForCausalLM"], "hidden_size": 4096,
  "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
  "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768,
  "sliding_window": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0})";

TEST(ModelSpec, countsThePublishedParameters) {
  struct Case {
    const char* config;
    uint64_t parameters;
  };
  const Case CASES[] = {
      {"llama-2-7b", 6'738'415'616},     {"llama-2-70b", 68'976'648'192},
      {"llama-30b", 32'528'943'616},     {"llama-3.1-8b", 8'030'261'248},
      {"llama-3.1-70b", 70'553'706'496}, {"llama-3.1-405b", 405'853'388'800},
      {"llama-3.2-3b", 3'212'749'824},   {"qwen2.5-3b", 3'085'938'688},
      {"qwen2.5-7b", 7'615'616'512},     {"qwen2.5-14b", 14'770'033'664},
      {"qwen2.5-32b", 32'763'876'352},   {"qwen2.5-72b-instruct", 72'706'203'648},
      {"qwen3-0.6b", 596'049'920},       {"qwen3-8b", 8'190'735'360},
      {"qwen3-14b", 14'768'307'200},     {"qwen3-32b", 32'762'123'264},
  };
  EXPECT_EQ(std::size(CASES), test::denseConfigs().size());
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.config);
    auto spec = parseModelConfig(readConfig(c.config));
    ASSERT_TRUE(spec) << spec.refusal().text;
    EXPECT_EQ(spec->parameters, c.parameters);
  }
  EXPECT_EQ(specOf(MISTRAL_7B).parameters, 7'241'732'096u);
  EXPECT_EQ(specOf(readConfig("mixtral-8x7b")).parameters, 46'702'792'704u);
}

TEST(ModelSpec, followsTheRulesOfEachFamily) {
  auto llama = specOf(readConfig("llama-3.1-8b"));
  EXPECT_EQ(llama.headSize, 128u);
  EXPECT_FALSE(llama.qkvBias || llama.qkNorm || llama.tiedEmbeddings);
  EXPECT_THAT(llama.ropeScaling, HasSubstr("\"rope_type\":\"llama3\""));
  EXPECT_TRUE(specOf(readConfig("llama-3.2-3b")).tiedEmbeddings);

  auto qwen2 = specOf(readConfig("qwen2.5-7b"));
  EXPECT_TRUE(qwen2.qkvBias);
  EXPECT_FALSE(qwen2.outputBias || qwen2.slidingWindow);  // use_sliding_window is false

  auto qwen3 = specOf(readConfig("qwen3-0.6b"));
  EXPECT_TRUE(qwen3.qkNorm && qwen3.tiedEmbeddings);
  EXPECT_EQ(qwen3.headSize, 128u);  // hidden / heads would be 64
  EXPECT_EQ(qwen3.ropeScaling, "");

  EXPECT_EQ(specOf(MISTRAL_7B).slidingWindow, 4096u);
  // 52 heads and no num_key_value_heads: the first Llama had as many as heads.
  EXPECT_EQ(specOf(readConfig("llama-30b")).kvHeads, 52u);

  auto biased = specOf(tinyConfig(R"("attention_bias": true, "mlp_bias": true)"));
  EXPECT_TRUE(biased.qkvBias && biased.outputBias && biased.mlpBias);

  auto newRope = specOf(tinyConfig(
      R"("rope_parameters": {"rope_type": "yarn", "rope_theta": 5000000, "factor": 4})"));
  EXPECT_EQ(newRope.ropeTheta, 5'000'000);
  EXPECT_THAT(newRope.ropeScaling, HasSubstr("yarn"));
}

TEST(ModelSpec, refusesConfigsItCannotTrust) {
  struct Case {
    const char* name;
    std::string json;
    RefusalCode code;
    const char* says;
  };
  auto without = [](std::string text, const std::string& part) {
    return text.erase(text.find(part), part.size());
  };
  const auto INVALID = RefusalCode::MODEL_CONFIG_INVALID;
  const auto UNKNOWN = RefusalCode::MODEL_ARCHITECTURE_UNKNOWN;
  const Case CASES[] = {
      {"empty", "", INVALID, "not JSON"},
      {"an array", "[]", INVALID, "an object is wanted"},
      {"nothing in it", "{}", UNKNOWN, "neither architectures nor model_type"},
      {"GPT-2", readConfig("gpt2"), UNKNOWN,
       "\"GPT2LMHeadModel\" is unknown; supported: LlamaForCausalLM, MistralForCausalLM"},
      {"no experts", without(readConfig("mixtral-8x7b"), R"("num_local_experts": 8,)"), INVALID,
       "num_local_experts is missing"},
      {"model type only", R"({"model_type": "t5"})", UNKNOWN, "\"t5\""},
      {"quantised", readConfig("qwen3-32b-fp8"), RefusalCode::NOT_SUPPORTED_YET, "quantization"},
      {"no layers", without(tinyConfig(), R"("num_hidden_layers": 4,)"), INVALID,
       "num_hidden_layers is missing"},
      {"no kv heads", R"({"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 8, "vocab_size": 103,
        "max_position_embeddings": 512})",
       INVALID, "num_key_value_heads is missing"},
      {"negative", tinyConfig(R"("head_dim": -8)"), INVALID, "head_dim is \"-8\""},
      {"text for a number", tinyConfig(R"("head_dim": "8")"), INVALID, "head_dim is"},
      {"huge", tinyConfig(R"("head_dim": 18446744073709551615)"), INVALID, "from 1 to 65536"},
      {"twice", tinyConfig(R"("hidden_size": 128)"), INVALID, "\"hidden_size\" appears twice"},
      {"text for a flag", tinyConfig(R"("tie_word_embeddings": "yes")"), INVALID, "true or false"},
      {"other activation", tinyConfig(R"("hidden_act": "gelu")"), INVALID, "hidden_act"},
      {"rope of nothing", tinyConfig(R"("rope_theta": 0)"), INVALID, "rope_theta"},
      {"rope of text", tinyConfig(R"("rope_scaling": "linear")"), INVALID, "rope_scaling"},
      {"deep", tinyConfig("\"x\": " + std::string(100, '[') + std::string(100, ']')), INVALID,
       "nested deeper"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto spec = parseModelConfig(c.json);
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.refusal().code, c.code);
    EXPECT_THAT(spec.refusal().text, HasSubstr(c.says));
  }
}

TEST(ModelSpec, survivesEveryTruncationAndEveryFlippedBit) {
  std::string good = readConfig("llama-3.1-8b");
  auto tensors = tensorsOf(specOf(tinyConfig()));
  for (size_t length = 0; length + 2 < good.size(); ++length) {
    EXPECT_FALSE(readModelSpec(std::string_view(good).substr(0, length), tensors));
  }
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = good;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      auto spec = parseModelConfig(changed);
      if (spec) {
        EXPECT_GT(spec->parameters, 0u);
      }
    }
  }
}

TEST(ModelSpec, holdsTheFilesAgainstTheConfig) {
  std::string config = tinyConfig();
  auto tensors = tensorsOf(specOf(config), 2, Dtype::F16);
  auto good = readModelSpec(config, tensors);
  ASSERT_TRUE(good) << good.refusal().text;
  EXPECT_EQ(good->dtype, Dtype::F16);

  auto named = [](std::vector<TensorInfo>& all, const std::string& name) -> TensorInfo& {
    return *std::find_if(all.begin(), all.end(),
                         [&](const TensorInfo& tensor) { return tensor.name == name; });
  };
  const std::string KEY = "model.layers.2.self_attn.k_proj.weight";

  auto missing = tensors;
  missing.erase(missing.begin() + (&named(missing, KEY) - missing.data()));
  EXPECT_THAT(readModelSpec(config, missing).refusal().text,
              HasSubstr("\"" + KEY + "\" of shape [32, 64] is in no file"));

  auto reshaped = tensors;
  named(reshaped, KEY).shape = {64, 32};
  EXPECT_THAT(readModelSpec(config, reshaped).refusal().text,
              HasSubstr("has shape [64, 32], config.json wants [32, 64]"));

  auto integer = tensors;
  named(integer, KEY).dtype = Dtype::I16;
  EXPECT_THAT(readModelSpec(config, integer).refusal().text, HasSubstr("is I16"));

  auto more = tensors;
  more.push_back({"model.layers.0.mlp.experts.0.weight", Dtype::F16, {2}, "m", 0, 4});
  auto refused = readModelSpec(config, more);
  EXPECT_EQ(refused.refusal().code, RefusalCode::MODEL_CONFIG_INVALID);
  EXPECT_THAT(refused.refusal().text, HasSubstr("experts.0.weight\" is not part of"));
}

TEST(ModelSpec, leavesOutRotaryTablesAndTheCopyOfATiedHead) {
  std::string config = tinyConfig(R"("tie_word_embeddings": true)");
  auto tensors = tensorsOf(specOf(config));
  tensors.push_back({"lm_head.weight", Dtype::BF16, {103, 64}, "m", 0, 13184});
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", Dtype::F32, {4}, "m", 0, 16});
  auto spec = readModelSpec(config, tensors);
  ASSERT_TRUE(spec) << spec.refusal().text;
  EXPECT_THAT(spec->unusedTensors,
              ElementsAre("lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"));
}

TEST(ModelSpec, allowsTheTensorSizesThatDivide) {
  EXPECT_THAT(allowedTensorSizes(specOf(readConfig("llama-3.1-8b"))),
              ElementsAre(1, 2, 4, 8, 16, 32));
  // 28 heads, 4 key/value heads: 8 is impossible; 28 does not divide the feed-forward.
  EXPECT_THAT(allowedTensorSizes(specOf(readConfig("qwen2.5-7b"))), ElementsAre(1, 2, 4));
  // 40 heads, 8 key/value heads.
  EXPECT_THAT(allowedTensorSizes(specOf(readConfig("qwen3-14b"))), ElementsAre(1, 2, 4, 8));
  auto qwen = specOf(readConfig("qwen2.5-7b"));
  EXPECT_EQ(whyNotStageCut(qwen, {8}), "tp 8 does not divide 28 attention heads");
  EXPECT_EQ(whyNotStageCut(qwen, {7}),
            "tp 7 neither divides 4 key/value heads nor is a multiple of them");
  EXPECT_EQ(whyNotStageCut(qwen, {0}), "tp 0 is no size");
}

TEST(ModelSpec, spreadsExpertsOnlyEvenly) {
  auto mixtral = specOf(readConfig("mixtral-8x7b"));
  EXPECT_THAT(allowedTensorSizes(mixtral, 4), ElementsAre(4, 8, 16, 32));
  EXPECT_EQ(whyNotStageCut(mixtral, {8, 4}), "");
  EXPECT_EQ(whyNotStageCut(mixtral, {2, 4}), "ep 4 does not divide tp 2");
  EXPECT_EQ(whyNotStageCut(mixtral, {16, 16}), "ep 16 does not divide 8 experts");
  EXPECT_EQ(whyNotStageCut(mixtral, {2, 0}), "ep 0 is no size");
  EXPECT_EQ(whyNotStageCut(specOf(tinyConfig()), {2, 2}), "ep 2 is for models with experts");
}

}  // namespace
}  // namespace muster::sharding::model_spec_test
