#include "protocol/deployment_yaml.h"

#include "base/random.h"
#include "protocol/deployment_fields.h"
#include "tests/protocol/deployment_reading.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace muster::deployment_yaml_test {
namespace {

using deployment_reading::HEAD;
using deployment_reading::parse;
using deployment_reading::parseOne;

DeploymentSpec minimal() {
  DeploymentSpec spec;
  spec.name = {"chat"};
  spec.model.source = "file:/models/chat";
  return spec;
}

TEST(DeploymentYaml, needsThreeFieldsAndDefaultsTheRest) {
  EXPECT_EQ(parseOne(HEAD), minimal());
  EXPECT_EQ(parseOne(HEAD + "kind: deployment\nengine: native\ngpus: auto\nparallel: auto\n"
                            "replicas: 1\npriority: normal\nplacement: {}\n"
                            "timeouts: {ready: 30m, stall: 2m, drain: 2m}\n"),
            minimal());
  EXPECT_EQ(parseOne(R"({"version":1,"name":"chat","model":{"source":"file:/models/chat"}})"),
            minimal());
  EXPECT_EQ(parseOne("\xef\xbb\xbf" + HEAD), minimal());
  EXPECT_EQ(parseOne("version: 1\r\nname: chat\r\nmodel: file:/models/chat\r\n"), minimal());
}

TEST(DeploymentYaml, readsEveryField) {
  DeploymentSpec spec = parseOne(R"(version: 1
kind: deployment
tenant: search
name: ranker
model: {source: "file:/models/big one", max_context: 32768}
engine:
  kind: process
  command: [python3, -m, server, "--flag=1"]
  args: {max-num-seqs: 256, ratio: 0.90, eager: true, name: "yes"}
  env: {LEVEL: 3, EMPTY: ""}
  ready: {http: /health, timeout: 90s}
gpus: 8
gpu: {type: [H200, H100], min_memory: 80GiB, link: nvlink}
parallel: {tp: 4, pp: 2, dp: 1, ep: 1}
replicas: 3
placement:
  pool: batch
  nodes: [gpu01, gpu02]
  exclude: [gpu03]
  spread: rack
  fabric: required
  tp_within: node
timeouts: {ready: 1h, stall: 250ms, drain: 3d}
)");
  DeploymentSpec wanted;
  wanted.tenant = {"search"};
  wanted.name = {"ranker"};
  wanted.model.source = "file:/models/big one";
  wanted.model.maxContext = 32768;
  wanted.engine.kind = EngineKind::PROCESS;
  wanted.engine.command = {"python3", "-m", "server", "--flag=1"};
  wanted.engine.args = {
      {"max-num-seqs", "256"}, {"ratio", "0.90"}, {"eager", "true"}, {"name", "yes"}};
  wanted.engine.env = {{"LEVEL", "3"}, {"EMPTY", ""}};
  wanted.engine.ready = {"/health", std::nullopt, 90_s};
  wanted.gpus = 8;
  wanted.gpu = {{"H200", "H100"}, 80_GiB, "nvlink"};
  wanted.parallel = {4, 2, {}};
  wanted.replicas = 3;
  wanted.placement = {"batch",      {{"gpu01"}, {"gpu02"}}, {{"gpu03"}},
                      Spread::RACK, Fabric::REQUIRED,       true};
  wanted.timeouts = {60_min, 250_ms, 4320_min};
  EXPECT_EQ(spec, wanted);
}

TEST(DeploymentYaml, readsWhatOnlyTheNativeEngineTakes) {
  const std::string text = R"(version: 1
name: experts
model: {source: "file:/models/experts", dtype: int8}
parallel: {tp: 4, ep: 2}
)";
  DeploymentSpec spec = parseOne(text);
  EXPECT_EQ(spec.model.dtype, "int8");
  EXPECT_EQ(spec.parallel.expert, 2u);
  auto parsed = parse(text + "engine: {kind: process, command: [x]}\n");
  ASSERT_FALSE(parsed.ok());
  ASSERT_EQ(parsed.refusal().errors.size(), 2u);
  EXPECT_EQ(parsed.refusal().errors[0].message, "model.dtype is for engine native only");
  EXPECT_EQ(parsed.refusal().errors[1].message, "parallel.ep is for engine native only");
}

TEST(DeploymentYaml, readsWhatGatewaysAreTold) {
  DeploymentSpec spec = parseOne(R"(version: 1
name: chat
model: {source: "file:/m", aliases: [gpt-4o, "Qwen/Qwen2.5-7B-Instruct"]}
balance: prefix
)");
  EXPECT_EQ(spec.model.aliases, (std::vector<std::string>{"gpt-4o", "Qwen/Qwen2.5-7B-Instruct"}));
  EXPECT_EQ(spec.balance, Balance::PREFIX);
  EXPECT_EQ(parseOne(HEAD).balance, std::nullopt);
}

TEST(DeploymentYaml, refusesEachWrongAlias) {
  struct Case {
    const char* aliases;
    const char* message;
  };
  const Case CASES[] = {
      {"gpt", "model.aliases is \"gpt\", wanted: a list of names"},
      {"[a, [b]]", "model.aliases is a list, wanted: a name"},
      {"[\"a b\"]", "alias \"a b\" may hold letters, digits and \"._:/@-\" only"},
      {"[-a]", "alias \"-a\" must start with a letter or a digit"},
      {"[\"\"]", "alias \"\" is empty"},
      {"[a, b, a]", "alias \"a\" is there twice"},
      {"[a1, a2, a3, a4, a5, a6, a7, a8, a9, b1, b2, b3, b4, b5, b6, b7, b8]",
       "model.aliases has 17 names, at most 16 are taken"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.aliases);
    auto parsed = parse("version: 1\nname: chat\nmodel: {source: \"file:/m\", aliases: " +
                        std::string(c.aliases) + "}\n");
    ASSERT_FALSE(parsed.ok());
    ASSERT_EQ(parsed.refusal().errors.size(), 1u);
    EXPECT_EQ(parsed.refusal().errors[0].message, c.message);
    EXPECT_EQ(parsed.refusal().errors[0].path, "model.aliases");
  }
}

TEST(DeploymentYaml, readsSeveralDocuments) {
  auto parsed = parse("---\n" + HEAD + "---\nversion: 1\nname: b\nmodel: file:/b\n---\n");
  ASSERT_TRUE(parsed.ok()) << parsed.refusal().text;
  ASSERT_EQ(parsed->size(), 2u);
  EXPECT_EQ(parsed->at(1).name.value, "b");
}

TEST(DeploymentYaml, takesTheCallersTenantUnlessTheFileNamesOne) {
  DeploymentYamlOptions options{TenantName{"lab"}};
  EXPECT_EQ(parseDeployments(HEAD, "x", options)->at(0).tenant.value, "lab");
  EXPECT_EQ(parseDeployments(HEAD + "tenant: ops\n", "x", options)->at(0).tenant.value, "ops");
}

// One wrong thing, appended to a good head; line is that of the whole file.
struct BadCase {
  std::string yaml;
  RefusalCode code;
  std::string path;
  uint32_t line;
  uint32_t column;
  std::string hint;  // a part of it
};

void expectRefused(const BadCase& c, const std::string& yaml) {
  SCOPED_TRACE(yaml);
  auto parsed = parse(yaml);
  ASSERT_FALSE(parsed.ok());
  const auto& errors = parsed.refusal().errors;
  ASSERT_FALSE(errors.empty());
  EXPECT_EQ(errors.size(), 1u) << errors.back().message;
  EXPECT_EQ(toText(errors[0].code), toText(c.code)) << errors[0].message;
  EXPECT_EQ(parsed.refusal().code, errors[0].code);
  EXPECT_EQ(errors[0].path, c.path) << errors[0].message;
  EXPECT_EQ(errors[0].line, c.line) << errors[0].message;
  EXPECT_EQ(errors[0].column, c.column) << errors[0].message;
  EXPECT_NE(errors[0].hint.find(c.hint), std::string::npos) << errors[0].hint;
  EXPECT_FALSE(errors[0].message.empty());
}

TEST(DeploymentYaml, refusesEachWrongField) {
  using enum RefusalCode;
  const std::vector<BadCase> cases = {
      {"paralell: {tp: 8}", UNKNOWN_FIELD, "paralell", 4, 1, "did you mean \"parallel\"?"},
      {"parallel: {tpp: 8}", UNKNOWN_FIELD, "parallel.tpp", 4, 12, "\"tp\""},
      {"pp: 8", UNKNOWN_FIELD, "pp", 4, 1, ""},
      {"min_memory: 8GiB", UNKNOWN_FIELD, "min_memory", 4, 1, "did you mean \"gpu.min_memory\"?"},
      {"gpu.type: H100", UNKNOWN_FIELD, "gpu.type", 4, 1, ""},
      {"Replicas: 1", UNKNOWN_FIELD, "Replicas", 4, 1, "replicas"},
      {"replicas: many", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: \"2\"", INVALID_VALUE, "replicas", 4, 11, "without quotes"},
      {"replicas: -1", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: 010", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: 1.0", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: 0x10", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: 10001", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: 99999999999999999999", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas: [1]", INVALID_VALUE, "replicas", 4, 11, ""},
      {"replicas:", INVALID_VALUE, "replicas", 4, 1, "leave it out"},
      {"replicas: null", INVALID_VALUE, "replicas", 4, 1, ""},
      {"replicas: yes", AMBIGUOUS_VALUE, "", 4, 11, "true"},
      {"replicas: 1\nreplicas: 1", DUPLICATE_KEY, "", 5, 1, "line 4"},
      {"parallel: 8", INVALID_VALUE, "parallel", 4, 11, ""},
      {"parallel: {tp: 0}", INVALID_VALUE, "parallel.tp", 4, 16, ""},
      {"gpu: H100", INVALID_VALUE, "gpu", 4, 6, ""},
      {"gpu: {min_memory: 80}", INVALID_VALUE, "gpu.min_memory", 4, 19, "80GiB"},
      {"gpu: {link: nvlnik}", INVALID_VALUE, "gpu.link", 4, 13, "nvlink"},
      {"timeouts: {ready: 30}", INVALID_VALUE, "timeouts.ready", 4, 19, "30s"},
      {"timeouts: {ready: 0s}", INVALID_VALUE, "timeouts.ready", 4, 19, ""},
      {"timeouts: {ready: 0.0001ms}", INVALID_VALUE, "timeouts.ready", 4, 19, ""},
      {"placement: {spread: zone}", INVALID_VALUE, "placement.spread", 4, 21, ""},
      {"placement: {nodes: gpu01}", INVALID_VALUE, "placement.nodes", 4, 20, "[...]"},
      {"placement: {nodes: [GPU01]}", INVALID_NAME, "placement.nodes", 4, 21, "gpu01"},
      {"placement: {nodes: [a, b], exclude: [b]}", INVALID_VALUE, "placement", 4, 12, ""},
      {"balance: least", INVALID_VALUE, "balance", 4, 10, ""},
      {"balance: [prefix]", INVALID_VALUE, "balance", 4, 10, ""},
      {"kind: deploymnet", INVALID_VALUE, "kind", 4, 7, "deployment"},
      {"engine: natve", INVALID_VALUE, "engine", 4, 9, "native"},
      {"engine: process", MISSING_FIELD, "engine.command", 4, 9, "command"},
      {"engine: {kind: process, command: []}", INVALID_VALUE, "engine.command", 4, 34, ""},
      {"engine: {kind: process, command: run}", INVALID_VALUE, "engine.command", 4, 34, "[...]"},
      {"engine: {command: [x]}", INVALID_VALUE, "engine.command", 4, 19, "process"},
      {"engine: {ready: {http: /x}}", INVALID_VALUE, "engine.ready", 4, 17, "process"},
      {"engine: {kind: process, command: [x], ready: {http: x}}", INVALID_VALUE,
       "engine.ready.http", 4, 53, ""},
      {"engine: {kind: process, command: [x], ready: {http: /x, log: up}}", INVALID_VALUE,
       "engine.ready", 4, 46, ""},
      {"engine: {kind: process, command: [x], args: {a: [1]}}", INVALID_VALUE, "engine.args.a", 4,
       49, ""},
      {"engine: {kind: process, command: [x], env: {1A: x}}", INVALID_VALUE, "engine.env.1A", 4, 45,
       ""},
      {"gpus: 3\nparallel: {tp: 2, pp: 2}", INVALID_VALUE, "gpus", 4, 7, "gpus: 4"},
      {"gpus: 3\nparallel: {tp: 2}", INVALID_VALUE, "gpus", 4, 7, ""},
      {"gpus: 0", INVALID_VALUE, "gpus", 4, 7, ""},
      {"<<: {replicas: 2}", UNKNOWN_FIELD, "<<", 4, 1, ""},
  };
  for (const auto& c : cases) expectRefused(c, HEAD + c.yaml + "\n");
}

TEST(DeploymentYaml, refusesEachWrongHead) {
  using enum RefusalCode;
  const std::string model = "\nmodel: file:/m\n";
  const std::vector<BadCase> cases = {
      {"name: a" + model, MISSING_FIELD, "version", 1, 1, "version: 1"},
      {"version: 2\nname: a" + model, INVALID_VALUE, "version", 1, 10, ""},
      {"version: \"1\"\nname: a" + model, INVALID_VALUE, "version", 1, 10, ""},
      {"version: 1" + model, MISSING_FIELD, "name", 1, 1, ""},
      {"version: 1\nname: Chat_7b" + model, INVALID_NAME, "name", 2, 7, "chat-7b"},
      {"version: 1\nname: a\n", MISSING_FIELD, "model", 1, 1, "file:PATH"},
      {"version: 1\nname: a\nmodel: {}\n", MISSING_FIELD, "model.source", 3, 8, ""},
      {"version: 1\nname: a\nmodel: /m\n", INVALID_VALUE, "model", 3, 8, "file:/m"},
      {"version: 1\nname: a\nmodel: file:m\n", INVALID_VALUE, "model", 3, 8, "file:/m"},
      {"version: 1\nname: a\nmodel: file:///m\n", INVALID_VALUE, "model", 3, 8, "file:/m"},
      {"version: 1\nname: a\nmodel: llama\n", INVALID_VALUE, "model", 3, 8, ""},
      {"- version: 1\n", INVALID_SYNTAX, "", 1, 1, ""},
      {"hello\n", INVALID_SYNTAX, "", 1, 1, ""},
      {"", MISSING_FIELD, "", 1, 1, "version: 1"},
      {"# nothing\n", MISSING_FIELD, "", 1, 1, ""},
      {HEAD + "---\n" + HEAD, DUPLICATE_KEY, "name", 6, 7, ""},
  };
  for (const auto& c : cases) expectRefused(c, c.yaml);
}

TEST(DeploymentYaml, refusesWhatIsNotBuiltYetAndNeverIgnoresIt) {
  const std::vector<std::string> cases = {
      "rollout: {strategy: rolling}",
      "autoscale: {min: 1, max: 4}",
      "slo: {ttft_p95: 800ms}",
      "workload: {rate: 6/s}",
      "limits: {queue: 10}",
      "stages: [{tp: 4}, {tp: 2}]",
      "stages: [{gpu: {link: nvlink}}]",
      "parallel: {dp: 2}",
      "priority: high",
      "priority: 700",
      "preemptible: true",
      "engine: {kind: native, args: {max-num-seqs: 256}}",
      "engine: {kind: process, command: [x], container: image}",
      "kind: job",
      "kind: tenant",
      "kind: pool",
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c);
    auto parsed = parse(HEAD + c + "\n");
    ASSERT_FALSE(parsed.ok());
    ASSERT_EQ(parsed.refusal().errors.size(), 1u) << parsed.refusal().errors[1].message;
    EXPECT_EQ(parsed.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
    EXPECT_NE(parsed.refusal().text.find("not supported yet"), std::string::npos);
  }
  for (std::string model :
       {"hf:Qwen/Qwen2.5-7B", "s3:bucket/m", "https://host/m",
        "{source: \"file:/m\", quantization: fp8}", "{source: \"file:/m\", dtype: f16}",
        "{source: \"file:/m\", sha256: \"00\"}"}) {
    SCOPED_TRACE(model);
    auto parsed = parse("version: 1\nname: a\nmodel: " + model + "\n");
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.refusal().errors.size(), 1u);
    EXPECT_EQ(parsed.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
  }
}

TEST(DeploymentYaml, readsAnEngineByItsNameAlone) {
  DeploymentSpec spec = parseOne(HEAD + "engine: vllm\n");
  EXPECT_EQ(spec.engine.kind, EngineKind::VLLM);
  EXPECT_TRUE(spec.engine.command.empty());
  spec =
      parseOne(HEAD + "engine: {kind: vllm, args: {max-num-seqs: 256}, env: {HF_HOME: /cache}}\n");
  EXPECT_EQ(spec.engine.args.at("max-num-seqs"), "256");

  EXPECT_EQ(parseOne(HEAD + "engine: sglang\n").engine.kind, EngineKind::SGLANG);
  EXPECT_EQ(parseOne("version: 1\nname: a\nmodel: file:/m/a.gguf\nengine: llama.cpp\n").engine.kind,
            EngineKind::LLAMA_CPP);
  auto torch = parseOne(HEAD + "engine: {kind: torchrun, command: [train.py, --x]}\n").engine;
  EXPECT_EQ(torch.kind, EngineKind::TORCHRUN);
  EXPECT_EQ(torch.command, (std::vector<std::string>{"train.py", "--x"}));
}

TEST(DeploymentYaml, refusesWhatAnEngineCannotDo) {
  struct Case {
    std::string yaml;
    RefusalCode code;
    std::string hint;
  };
  const std::vector<Case> cases = {
      {HEAD + "engine: torchrun\n", RefusalCode::MISSING_FIELD, "kind: torchrun, command:"},
      {HEAD + "engine: llama.cpp\n", RefusalCode::INVALID_VALUE, "/NAME.gguf"},
      {"version: 1\nname: a\nmodel: file:/m/a.gguf\nengine: llama.cpp\nparallel: {tp: 2}\n",
       RefusalCode::INVALID_VALUE, "pp: 2"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.yaml);
    auto parsed = parse(c.yaml);
    ASSERT_FALSE(parsed.ok());
    ASSERT_EQ(parsed.refusal().errors.size(), 1u);
    EXPECT_EQ(parsed.refusal().code, c.code);
    EXPECT_NE(parsed.refusal().errors[0].hint.find(c.hint), std::string::npos)
        << parsed.refusal().errors[0].hint;
  }
  auto misspelt = parse(HEAD + "engine: vlm\n");
  ASSERT_FALSE(misspelt.ok());
  EXPECT_NE(misspelt.refusal().errors.at(0).hint.find("vllm"), std::string::npos);
  auto owned = parse(HEAD + "engine: {kind: vllm, args: {tensor-parallel-size: 2}}\n");
  ASSERT_FALSE(owned.ok());
  EXPECT_EQ(owned.refusal().code, RefusalCode::RESERVED_ARGUMENT);
}

TEST(DeploymentYaml, refusesWhatMusterItselfSets) {
  const std::string process = "engine: {kind: process, command: [x], ";
  for (std::string name :
       {"port", "--port", "host", "rank", "world_size", "rdzv-endpoint", "tensor-parallel-size",
        "Tensor_Parallel_Size", "tp", "pipeline-parallel-size", "data-parallel-size", "device",
        "served-model-name", "master-addr", "nnodes"}) {
    expectRefused(
        {"", RefusalCode::RESERVED_ARGUMENT, "engine.args." + name, 4, 46, "leave it out"},
        HEAD + process + "args: {" + name + ": 1}}\n");
  }
  for (std::string name : {"MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE",
                           "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "MUSTER_ANYTHING"}) {
    expectRefused({"", RefusalCode::RESERVED_ARGUMENT, "engine.env." + name, 4, 45, "leave it out"},
                  HEAD + process + "env: {" + name + ": 1}}\n");
  }
  expectRefused({"", RefusalCode::RESERVED_ARGUMENT, "engine.args.port", 4, 17, ""},
                HEAD + "engine: {args: {port: 1}}\n");
  EXPECT_TRUE(parse(HEAD + process + "args: {portable: 1, max-num-seqs: 2}}\n").ok());
}

TEST(DeploymentYaml, reportsAllErrorsAtOnceInTheirOrder) {
  auto parsed = parse(
      "version: 1\nname: Chat\nmodel: hf:a/b\nparalell: {tp: 8}\nreplicas: yes\n"
      "---\nversion: 1\nname: b\nmodel: file:/b\nslo: {}\ngpus: x\n---\nc: [\n");
  ASSERT_FALSE(parsed.ok());
  const auto& errors = parsed.refusal().errors;
  std::vector<std::pair<uint32_t, RefusalCode>> seen;
  for (const auto& error : errors) seen.emplace_back(error.line, error.code);
  using enum RefusalCode;
  std::vector<std::pair<uint32_t, RefusalCode>> wanted = {
      {2, INVALID_NAME},       {3, NOT_SUPPORTED_YET}, {4, UNKNOWN_FIELD},  {5, AMBIGUOUS_VALUE},
      {10, NOT_SUPPORTED_YET}, {11, INVALID_VALUE},    {14, INVALID_SYNTAX}};
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(errors[2].sourceLine, "paralell: {tp: 8}");
  EXPECT_NE(parsed.refusal().text.find("6 more errors"), std::string::npos)
      << parsed.refusal().text;
}

TEST(DeploymentYaml, capsTheErrorsOfAHugeWrongFile) {
  std::string yaml = HEAD;
  for (int i = 0; i < 20'000; ++i) yaml += "field" + std::to_string(i) + ": 1\n";
  auto parsed = parse(yaml);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.refusal().errors.size(), 50u);
}

// A field that the table lists as built but that no reader reads would be ignored in silence.
TEST(DeploymentYaml, everyBuiltFieldHasAReader) {
  for (const FieldRow& row : deploymentFields()) {
    SCOPED_TRACE(std::string(row.path));
    bool readable = row.read != nullptr || !fieldsInside(row.path).empty();
    EXPECT_EQ(readable, row.support == FieldSupport::BUILT);
    EXPECT_FALSE(row.meaning.empty());
    EXPECT_FALSE(row.form.empty());
    size_t dot = row.path.rfind('.');
    if (dot != std::string_view::npos) {
      EXPECT_NE(findField(row.path.substr(0, dot)), nullptr);
    }
  }
}

// Takes a good file apart and puts it together wrongly: no input may crash or hang the parser.
TEST(DeploymentYaml, survivesRandomDamage) {
  const std::string good = HEAD +
                           "engine: {kind: process, command: [a, b], args: {x: 1}, env: {Y: 2}}\n"
                           "parallel: {tp: 2}\ngpus: 2\ntimeouts:\n  ready: 3m\n";
  ASSERT_TRUE(parse(good).ok());
  SeededRandom random(99);
  int accepted = 0;
  for (int round = 0; round < 8'000; ++round) {
    std::string yaml = good;
    for (uint64_t n = 1 + random.below(6); n > 0; --n) {
      size_t at = random.below(yaml.size());
      uint64_t way = random.below(4);
      if (way == 0) yaml[at] = static_cast<char>(random.below(256));
      if (way == 1) yaml.erase(at, 1 + random.below(5));
      if (way == 2) yaml.insert(at, 1, ":{}[],\n \"-#&*!|"[random.below(15)]);
      if (way == 3) yaml.insert(at, yaml.substr(random.below(yaml.size()), random.below(20)));
      if (yaml.empty()) yaml = " ";
    }
    SCOPED_TRACE(yaml);
    auto parsed = parse(yaml);
    accepted += parsed.ok() ? 1 : 0;
    if (!parsed.ok()) {
      EXPECT_FALSE(parsed.refusal().errors.empty());
    }
  }
  EXPECT_GT(accepted, 100) << "the damage is so great that only the first check is tried";
}

}  // namespace
}  // namespace muster::deployment_yaml_test
