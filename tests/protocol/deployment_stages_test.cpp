// The field `stages` of a deployment: what is read, and each refusal with its place.
#include "tests/protocol/deployment_reading.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster::deployment_stages_test {
namespace {

using deployment_reading::HEAD;
using deployment_reading::parse;
using deployment_reading::parseOne;

TEST(DeploymentStages, readsThePipelineThatTheOwnerCuts) {
  DeploymentSpec spec = parseOne(HEAD + R"(stages:
  - {gpu: {type: [H100, H200], min_memory: 80GiB}, tp: 4, layers: 0-49}
  - {gpu: {type: A100}, tp: 4, layers: auto}
  - {}
)");
  EXPECT_EQ(spec.stages, (std::vector<StageRequest>{
                             {{{"H100", "H200"}, 80_GiB, ""}, 4, LayerRange{0, 49}},
                             {{{"A100"}, {}, ""}, 4, std::nullopt},
                             {},
                         }));
  EXPECT_EQ(parallelOf(spec), (ParallelRequest{4, 3, {}}));
  EXPECT_EQ(spec.parallel, ParallelRequest{}) << "what is said twice is kept once";
  spec = parseOne(HEAD + "gpus: 4\nparallel: {tp: 2, pp: 2}\nstages: [{tp: 2, layers: 0-0}, {}]\n");
  EXPECT_EQ(spec.parallel, (ParallelRequest{2, 2, {}}));
  EXPECT_EQ(spec.stages.at(0).layers, (LayerRange{0, 0}));
}

// What a stage does not say the deployment says for it.
TEST(DeploymentStages, stagesTakeTheDeploymentsGpuUnlessTheySayAnother) {
  DeploymentSpec spec = parseOne(HEAD + R"(gpu: {type: H100, min_memory: 40GiB, link: nvlink}
stages: [{}, {gpu: {type: A100}}, {gpu: {min_memory: 80GiB}}]
)");
  EXPECT_EQ(gpuOfStage(spec, 0), spec.gpu);
  EXPECT_EQ(gpuOfStage(spec, 1), (GpuRequirement{{"A100"}, 40_GiB, "nvlink"}));
  EXPECT_EQ(gpuOfStage(spec, 2), (GpuRequirement{{"H100"}, 80_GiB, "nvlink"}));
}

TEST(DeploymentStages, saysWhatIsWrongWithStages) {
  struct Case {
    std::string yaml;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"stages: [10]", "stages[0] is \"10\", wanted: {gpu, tp, layers}"},
      {"stages: [{layers: 5-2}]",
       "stages[0].layers is \"5-2\", wanted: auto, or the first and the last layer of the stage"},
      {"stages: [{layers: 1-9}]", "stages[0].layers starts with layer 1, wanted: 0"},
      {"stages: [{layers: 0-9}, {layers: 11-20}]",
       "stages[1].layers starts with layer 11, wanted: 10"},
      {"stages: [{layers: 0-9}, {layers: 9-20}]",
       "stages[1].layers starts with layer 9, wanted: 10"},
      {"stages: [{layers: 0-9}, {}, {}, {layers: 11-20}]",
       "stages[3].layers starts with layer 11, wanted: 12 or above"},
      {"parallel: {pp: 3}\nstages: [{}, {}]", "parallel.pp is 3, but stages has 2"},
      {"parallel: {tp: 2}\nstages: [{}, {tp: 4}]", "stages[1].tp is 4, but parallel.tp is 2"},
      {"stages: [{tp: 2}, {}, {tp: 4}]",
       "stages[2].tp is 4, but another stage has 2: unlike sizes are not supported yet"},
      {"gpus: 3\nstages: [{tp: 2}, {}]", "gpus is 3, but tp 2 x pp 2 is 4"},
      {"engine: {kind: process, command: [x]}\nstages: [{}, {}]",
       "stages is for engine native only"},
      {"engine: vllm\nstages: [{}, {}]", "stages is for engine native only"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.yaml);
    auto parsed = parse(HEAD + c.yaml + "\n");
    ASSERT_FALSE(parsed.ok());
    ASSERT_EQ(parsed.refusal().errors.size(), 1u) << parsed.refusal().errors[1].message;
    EXPECT_EQ(parsed.refusal().errors[0].message, c.message);
    EXPECT_FALSE(parsed.refusal().errors[0].path.empty());
  }
}

// Lines are those of the whole file: the head has three.
TEST(DeploymentStages, showsWhereItIsWrong) {
  struct Case {
    std::string yaml;
    RefusalCode code;
    std::string path;
    uint32_t line;
    uint32_t column;
    std::string hint;  // a part of it
  };
  using enum RefusalCode;
  const std::vector<Case> cases = {
      {"stages: 2", INVALID_VALUE, "stages", 4, 9, "[...]"},
      {"stages: []", INVALID_VALUE, "stages", 4, 9, "leave it out"},
      {"stages: {layers: 0-9}", INVALID_VALUE, "stages", 4, 9, "[...]"},
      {"stages: [0-9]", INVALID_VALUE, "stages[0]", 4, 10, "{layers: A-B}"},
      {"stages: [{layer: 0-9}]", UNKNOWN_FIELD, "stages[0].layer", 4, 11, "\"layers\""},
      {"stages: [{layers: 10}]", INVALID_VALUE, "stages[0].layers", 4, 19, "0-9"},
      {"stages: [{layers: 00-9}]", INVALID_VALUE, "stages[0].layers", 4, 19, "0-9"},
      {"stages: [{layers: 0-9999999}]", INVALID_VALUE, "stages[0].layers", 4, 19, "0-9"},
      {"stages: [{layers: [0, 9]}]", INVALID_VALUE, "stages[0].layers", 4, 19, "0-9"},
      {"stages: [{layers: }]", INVALID_VALUE, "stages[0].layers", 4, 11, "leave it out"},
      {"stages: [{tp: 0}]", INVALID_VALUE, "stages[0].tp", 4, 15, ""},
      {"stages: [{gpu: H100}]", INVALID_VALUE, "stages[0].gpu", 4, 16, ""},
      {"stages: [{gpu: {typ: H100}}]", UNKNOWN_FIELD, "stages[0].gpu.typ", 4, 17, "\"type\""},
      {"stages: [{gpu: {min_memory: 8}}]", INVALID_VALUE, "stages[0].gpu.min_memory", 4, 29, "GiB"},
      {"stages: [{layers: 0-3}, {layers: 9-9}]", INVALID_VALUE, "stages[1].layers", 4, 34, ""},
      {"stages: [{}, {}]\nparallel: {pp: 3}", INVALID_VALUE, "parallel.pp", 5, 16, "leave pp out"},
      {"stages: [{}, {tp: 4}]\nparallel: {tp: 2}", INVALID_VALUE, "stages[1].tp", 4, 19,
       "leave parallel.tp out"},
      {"engine: vllm\nstages: [{}, {}]", INVALID_VALUE, "stages", 5, 9, "parallel: {pp: 2}"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.yaml);
    auto parsed = parse(HEAD + c.yaml + "\n");
    ASSERT_FALSE(parsed.ok());
    const auto& errors = parsed.refusal().errors;
    ASSERT_EQ(errors.size(), 1u) << errors.back().message;
    EXPECT_EQ(errors[0].code, c.code) << errors[0].message;
    EXPECT_EQ(errors[0].path, c.path) << errors[0].message;
    EXPECT_EQ(errors[0].line, c.line);
    EXPECT_EQ(errors[0].column, c.column);
    EXPECT_NE(errors[0].hint.find(c.hint), std::string::npos) << errors[0].hint;
  }
}

TEST(DeploymentStages, refusesMoreStagesThanPpMayBe) {
  std::string stages = "stages: [{}";
  for (int i = 0; i < 1024; ++i) stages += ", {}";
  auto parsed = parse(HEAD + stages + "]\n");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.refusal().code, RefusalCode::TOO_LARGE);
}

}  // namespace
}  // namespace muster::deployment_stages_test
