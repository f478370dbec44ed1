#include "protocol/launch.h"

#include "protocol/engine_preset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace muster::launch_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

const LaunchPlace PLACE{.address = "10.0.0.1",
                        .port = "8101",
                        .modelPath = "/models/big",
                        .rendezvous = "10.0.0.1:9101",
                        .devices = DeviceKind::GPU};

// One of `processes` processes of deployment chat, with so many devices each.
Assignment processOf(EngineKind kind, uint32_t rank, uint32_t processes, ShardPlan plan) {
  Assignment assignment;
  assignment.ref = {{5}, {2}, {3}, {rank}};
  assignment.tenant = {"default"};
  assignment.deployment = {"chat"};
  assignment.worldSize = processes;
  for (uint32_t i = 0; i < plan.worldSize() / processes; ++i) assignment.devices.push_back({i});
  assignment.engine.kind = kind;
  assignment.plan = std::move(plan);
  return assignment;
}

ShardPlan cut(uint32_t tensor, uint32_t pipeline) {
  return {.tensor = tensor,
          .pipeline = pipeline,
          .stageFirstLayer = {},
          .rankWeights = {},
          .rankMemory = {}};
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> all;
  for (std::string word; stream >> word;) all.push_back(word);
  return all;
}

TEST(Launch, aProcessGetsItsCommandAndTorchrunsNames) {
  auto assignment = processOf(EngineKind::PROCESS, 1, 2, cut(2, 1));
  assignment.engine.command = {"serve", "--x"};
  assignment.engine.args = {{"seed", "7"}, {"eager", "true"}};
  assignment.engine.env = {{"RANK", "9"}, {"OWN", "1"}};
  assignment.engine.ready.httpPath = "/up";
  Launch launch = launchOf(assignment, PLACE);
  EXPECT_THAT(launch.argv, ElementsAre("serve", "--x", "--eager=true", "--seed=7"));
  EXPECT_EQ(launch.ready, assignment.engine.ready);
  EXPECT_EQ(launch.env.at("OWN"), "1");
  EXPECT_EQ(launch.env.at("RANK"), "1") << "Muster's own names win";
  EXPECT_EQ(launch.env.at("WORLD_SIZE"), "2");
  EXPECT_EQ(launch.env.at("MASTER_ADDR"), "10.0.0.1");
  EXPECT_EQ(launch.env.at("MASTER_PORT"), "9101");
  EXPECT_EQ(launch.env.at("MUSTER_RENDEZVOUS"), "10.0.0.1:9101");
  EXPECT_EQ(launch.env.at("MUSTER_PORT"), "8101");
  EXPECT_EQ(launch.env.at("MUSTER_REPLICA"), "2");
  EXPECT_EQ(launch.env.at("MUSTER_GENERATION"), "3");
  EXPECT_EQ(launch.env.at("MUSTER_MODEL_PATH"), "/models/big");
  EXPECT_EQ(launch.env.at("CUDA_VISIBLE_DEVICES"), "0");
  EXPECT_EQ(launch.env.at("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
}

struct CommandCase {
  const char* name;
  EngineKind kind;
  uint32_t rank;
  uint32_t processes;
  ShardPlan plan;
  std::string line;
};

TEST(Launch, presetsWriteTheWholeCommandLine) {
  const std::vector<CommandCase> cases = {
      {"vllm, one device", EngineKind::VLLM, 0, 1, cut(1, 1),
       "vllm serve /models/big --served-model-name chat --tensor-parallel-size 1 "
       "--pipeline-parallel-size 1 --host 127.0.0.1 --port 8101"},
      {"vllm, one node", EngineKind::VLLM, 0, 1, cut(4, 2),
       "vllm serve /models/big --served-model-name chat --tensor-parallel-size 4 "
       "--pipeline-parallel-size 2 --host 127.0.0.1 --port 8101"},
      {"vllm, head of two nodes", EngineKind::VLLM, 0, 2, cut(8, 2),
       "vllm serve /models/big --served-model-name chat --tensor-parallel-size 8 "
       "--pipeline-parallel-size 2 --host 127.0.0.1 --port 8101 --distributed-executor-backend mp "
       "--nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 9101"},
      {"vllm, second of two nodes", EngineKind::VLLM, 1, 2, cut(8, 2),
       "vllm serve /models/big --served-model-name chat --tensor-parallel-size 8 "
       "--pipeline-parallel-size 2 --distributed-executor-backend mp "
       "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1 --master-port 9101 --headless"},
      {"sglang, one node", EngineKind::SGLANG, 0, 1, cut(4, 2),
       "python3 -m sglang.launch_server --model-path /models/big --served-model-name chat "
       "--tp-size 4 --pp-size 2 --host 127.0.0.1 --port 8101"},
      {"sglang, second of two nodes", EngineKind::SGLANG, 1, 2, cut(8, 2),
       "python3 -m sglang.launch_server --model-path /models/big --served-model-name chat "
       "--tp-size 8 --pp-size 2 --host 127.0.0.1 --port 8101 --nnodes 2 --node-rank 1 "
       "--dist-init-addr 10.0.0.1:9101"},
      {"llama.cpp, one node", EngineKind::LLAMA_CPP, 0, 1, cut(1, 2),
       "llama-server --model /models/big --alias chat --host 127.0.0.1 --port 8101 "
       "--n-gpu-layers 999 --split-mode layer"},
      {"llama.cpp, the server of two nodes", EngineKind::LLAMA_CPP, 0, 2, cut(1, 2),
       "llama-server --model /models/big --alias chat --host 127.0.0.1 --port 8101 "
       "--n-gpu-layers 999 --split-mode layer --rpc 10.0.0.1:9101"},
      {"llama.cpp, a node that lends its devices", EngineKind::LLAMA_CPP, 1, 2, cut(1, 2),
       "rpc-server --host 10.0.0.1 --port 9101"},
      {"torchrun, second of two nodes", EngineKind::TORCHRUN, 1, 2, cut(4, 2),
       "torchrun --nnodes 2 --nproc-per-node 4 --node-rank 1 --master-addr 10.0.0.1 "
       "--master-port 9101"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Launch launch = launchOf(processOf(c.kind, c.rank, c.processes, c.plan), PLACE);
    EXPECT_EQ(launch.argv, words(c.line));
  }
}

TEST(Launch, aPresetsProcessSeesAllDevicesOfItsNodeAndNoneOfTorchrunsNames) {
  for (const EnginePreset* preset : enginePresets()) {
    SCOPED_TRACE(preset->name);
    Launch launch = launchOf(processOf(preset->kind, 1, 2, cut(4, 2)), PLACE);
    EXPECT_THAT(launch.env, Contains(Pair("CUDA_VISIBLE_DEVICES", "0,1,2,3")));
    for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
      EXPECT_THAT(launch.env, Not(Contains(Key(name))));
    }
  }
}

TEST(Launch, aProcessOnCpusSeesNoGpu) {
  LaunchPlace place = PLACE;
  place.devices = DeviceKind::CPU;
  for (auto kind : {EngineKind::LLAMA_CPP, EngineKind::TORCHRUN, EngineKind::PROCESS}) {
    SCOPED_TRACE(toText(kind));
    Launch launch = launchOf(processOf(kind, 0, 1, cut(1, 2)), place);
    EXPECT_THAT(launch.env, Contains(Pair("CUDA_VISIBLE_DEVICES", "")));
    EXPECT_THAT(launch.env, Contains(Pair("MUSTER_DEVICES", "0,1")));
  }
}

TEST(Launch, theKindOfARanksDevicesIsTheNodes) {
  const std::vector<DeviceInfo> node = {{.index = {0}, .type = "cpu", .uuid = "", .memory = {}},
                                        {.index = {1}, .type = "H100", .uuid = "", .memory = {}}};
  EXPECT_EQ(kindOf(node, {{0}}), DeviceKind::CPU);
  EXPECT_EQ(kindOf(node, {{1}}), DeviceKind::GPU);
  EXPECT_EQ(kindOf(node, {{2}}), DeviceKind::CPU);
}

TEST(Launch, vllmIsToldWhichAddressToUse) {
  auto launch = launchOf(processOf(EngineKind::VLLM, 0, 1, cut(1, 1)), PLACE);
  EXPECT_THAT(launch.env, Contains(Pair("VLLM_HOST_IP", "10.0.0.1")));
}

TEST(Launch, theOwnersProgramAndArgumentsTakeTheirPlace) {
  auto assignment = processOf(EngineKind::VLLM, 0, 1, cut(1, 1));
  assignment.engine.command = {"/opt/env/bin/vllm"};
  assignment.engine.args = {
      {"enable-prefix-caching", "false"}, {"enforce-eager", "true"}, {"max-num-seqs", "256"}};
  auto argv = launchOf(assignment, PLACE).argv;
  ASSERT_GT(argv.size(), 4u);
  EXPECT_EQ(argv[0], "/opt/env/bin/vllm");
  EXPECT_EQ(argv[1], "serve");
  EXPECT_EQ(std::vector<std::string>(argv.end() - 3, argv.end()),
            (std::vector<std::string>{"--no-enable-prefix-caching", "--enforce-eager",
                                      "--max-num-seqs=256"}));
}

TEST(Launch, torchrunTakesItsArgumentsBeforeTheScript) {
  auto assignment = processOf(EngineKind::TORCHRUN, 0, 1, cut(2, 1));
  assignment.engine.command = {"train.py", "--epochs", "3"};
  assignment.engine.args = {{"max-restarts", "0"}, {"no-python", "true"}};
  EXPECT_EQ(launchOf(assignment, PLACE).argv,
            words("torchrun --nnodes 1 --nproc-per-node 2 --node-rank 0 --master-addr 10.0.0.1 "
                  "--master-port 9101 --max-restarts=0 --no-python train.py --epochs 3"));
}

TEST(Launch, llamaCppTakesAnArgumentAndItsValueAsTwoWords) {
  auto assignment = processOf(EngineKind::LLAMA_CPP, 0, 1, cut(1, 1));
  assignment.engine.args = {{"ctx-size", "8192"}, {"mlock", "true"}, {"jinja", "false"}};
  auto argv = launchOf(assignment, PLACE).argv;
  ASSERT_GT(argv.size(), 3u);
  EXPECT_EQ(std::vector<std::string>(argv.end() - 3, argv.end()), words("--ctx-size 8192 --mlock"));
}

TEST(Launch, aServerOfDevicesIsReadyOnceItCanBeMet) {
  EXPECT_TRUE(launchOf(processOf(EngineKind::LLAMA_CPP, 1, 2, cut(1, 2)), PLACE).isMet);
  EXPECT_FALSE(launchOf(processOf(EngineKind::LLAMA_CPP, 0, 2, cut(1, 2)), PLACE).isMet);
}

TEST(Launch, onlyTheFirstProcessIsAskedWhetherItIsReady) {
  auto head = processOf(EngineKind::VLLM, 0, 2, cut(2, 1));
  EXPECT_EQ(launchOf(head, PLACE).ready.httpPath, "/health");
  auto other = processOf(EngineKind::VLLM, 1, 2, cut(2, 1));
  EXPECT_EQ(launchOf(other, PLACE).ready, ReadyProbe{});

  for (auto* assignment : {&head, &other}) {
    assignment->engine.ready = {.httpPath = std::nullopt, .logLine = "up", .timeout = 9_s};
  }
  EXPECT_EQ(launchOf(head, PLACE).ready, head.engine.ready) << "the owner knows better";
  EXPECT_EQ(launchOf(other, PLACE).ready, (ReadyProbe{.timeout = 9_s}));
}

TEST(EnginePreset, namesItsEngineAndTheDocumentationItWasMadeFrom) {
  for (const EnginePreset* preset : enginePresets()) {
    SCOPED_TRACE(preset->name);
    EXPECT_EQ(findPreset(preset->kind), preset);
    EXPECT_EQ(engineKindOf(preset->name), preset->kind);
    EXPECT_EQ(toText(preset->kind), preset->name);
    EXPECT_FALSE(preset->version.empty());
    EXPECT_TRUE(preset->page.starts_with("https://"));
  }
  EXPECT_EQ(findPreset(EngineKind::NATIVE), nullptr);
  EXPECT_EQ(findPreset(EngineKind::PROCESS), nullptr);
  EXPECT_EQ(engineKindOf("vlm"), std::nullopt);
}

}  // namespace
}  // namespace muster::launch_test
