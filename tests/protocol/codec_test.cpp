#include "protocol/codec.h"

#include "base/random.h"
#include "protocol/codec_bytes.h"
#include "protocol/log.capnp.h"
#include "protocol/schema_level.h"
#include "tests/support/golden.h"

#include <capnp/message.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/exception.h>

#include <algorithm>
#include <cstring>

namespace muster::codec_test {
namespace {

DeploymentSpec sampleSpec() {
  DeploymentSpec spec;
  spec.name = {"sample"};
  spec.model.source = "file:/models/sample";
  spec.model.maxContext = 4096;
  spec.engine.kind = EngineKind::PROCESS;
  spec.engine.args = {{"max-num-seqs", "256"}};
  spec.engine.command = {"serve", "--model", "x"};
  spec.engine.ready.httpPath = "/health";
  spec.engine.ready.timeout = 90_s;
  spec.gpus = 4;
  spec.gpu.types = {"H100", "H200"};
  spec.parallel.tensor = 2;
  spec.replicas = 3;
  spec.placement.nodes = {{"gpu01"}, {"gpu02"}};
  spec.placement.spread = Spread::RACK;
  spec.placement.fabric = Fabric::REQUIRED;
  spec.placement.tpWithinNode = true;
  spec.timeouts.stall = 7_s;
  return spec;
}

ModelManifest sampleManifest() {
  ModelManifest manifest;
  manifest.source = "file:/models/sample";
  manifest.digest = "00112233445566778899aabbccddeeff";
  manifest.configJson = R"({"hidden_size": 8})";
  manifest.files = {{"a.safetensors", 1_KiB, "0f"}, {"b.safetensors", 2_KiB, "1f"}};
  manifest.tensors = {{"lm_head.weight", Dtype::BF16, {16, 8}, "b.safetensors", 128, 256}};
  manifest.inspectedBy = {"w1"};
  return manifest;
}

ReplicaPlaced samplePlaced() {
  ReplicaPlaced placed{.deployment = {7}, .replica = {1}, .generation = {3}, .revision = {2}};
  placed.plan = {.tensor = 2,
                 .pipeline = 1,
                 .stageFirstLayer = {0},
                 .rankWeights = {1_MiB, 1_MiB},
                 .rankMemory = {2_MiB, 2_MiB}};
  placed.placement.ranks = {{{0}, {"w1"}, {{0}}, 2_MiB}, {{1}, {"w1"}, {{1}}, 2_MiB}};
  placed.secret.fill(0x5a);
  return placed;
}

RankReport sampleReport() {
  RankReport report;
  report.ref = {{7}, {1}, {3}, {0}};
  report.phase = ReplicaPhase::LOADING;
  report.pid = 4711;
  report.processStartTime = 99;
  report.loaded = 10_B;
  report.total = 20_B;
  report.rendezvous = "10.0.0.1:41001";
  report.slices = {{"t", "a.safetensors", 8, 64, {2, 16}, {{0, 2}, {16, 32}}, "0123456789abcdef"}};
  report.joined = {{0}, {1}};
  return report;
}

std::vector<CommandBody> everyBody() {
  RankRef rank{{7}, {1}, {3}, {0}};
  NodeInfo node{.name = {"w1"},
                .address = "10.0.0.1",
                .rack = "r1",
                .labels = {{"zone", "a"}},
                .devices = {{{0}, "cpu", "cpu-0", 4_GiB, 0}},
                .version = "0.1.0"};
  RankProgressed progressed{.rank = rank, .phase = ReplicaPhase::READY, .message = "ready"};
  progressed.pid = 4711;
  progressed.loaded = 5_MiB;
  return {
      LeaderStarted{{"co1"}, {4}, "first leader", {1, 2}},
      NodeRegistered{node, {3, 4}},
      NodePhaseChanged{{"w1"}, NodePhase::UNREACHABLE, "connection broken", 3_s},
      NodeCordoned{{"w1"}, "fan"},
      NodeUncordoned{{"w1"}},
      NodeDrainStarted{{"w1"}, "fan", true},
      NodeDrained{{"w1"}},
      ModelRecorded{sampleManifest()},
      DeploymentApplied{sampleSpec(), {7}, {2}},
      DeploymentScaled{{"default"}, {"sample"}, 5, {2}},
      DeploymentDeleted{{"default"}, {"sample"}, {2}},
      samplePlaced(),
      ReplicaWaiting{
          {7}, {1}, Reason::WAITING_FOR_CAPACITY, "0 of 4 free", {{{"w1"}, "busy", "x"}}, {"fix"}},
      progressed,
      ReplicaRetired{{7}, {1}, {3}, Reason::RANK_CRASHED, "rank 0 exited"},
      RanksReleased{{"w1"}, {rank}},
      SchemaLevelRaised{2, {{"co1"}, {"co2"}}}};
}

Command commandOf(CommandBody body) {
  return {.principal = "admin/alice",
          .request = {{11, 12}, {13}},
          .decidedAt = {14},
          .decidedWall = {15},
          .body = std::move(body)};
}

Batch sampleBatch() {
  Batch batch;
  batch.history = {1, {21, 22}};
  batch.epoch = {4};
  batch.number = {9};
  batch.firstIndex = {30};
  batch.leaderTime = {31};
  batch.wallTime = {32};
  batch.id = {33, 34};
  batch.previousChain = {35, 36};
  batch.stateHash = StateHash{{29}, {37, 38}};
  for (auto& body : everyBody()) batch.commands.push_back(encodeCommand(commandOf(body)));
  return batch;
}

TEST(Codec, everyCommandComesBackAsItWas) {
  for (const auto& body : everyBody()) {
    SCOPED_TRACE(body.index());
    Command command = commandOf(body);
    EXPECT_EQ(decodeCommand(encodeCommand(command)), command);
  }
  EXPECT_EQ(everyBody().size(), std::variant_size_v<CommandBody>);
}

// Apart from the others, whose bytes are those of level 1.
TEST(Codec, whatIsNewInLevelTwoComesBackAsItWas) {
  DeploymentSpec spec = sampleSpec();
  spec.balance = Balance::LEAST_OUTSTANDING;
  spec.parallel.expert = 2;
  spec.model.dtype = "int8";
  ReplicaPlaced placed = samplePlaced();
  placed.plan.expert = 2;
  placed.plan.format = WeightFormat::INT8;
  for (const CommandBody& body :
       {CommandBody(DeploymentApplied{spec, {7}, {}}), CommandBody(placed)}) {
    Command command = commandOf(body);
    EXPECT_EQ(decodeCommand(encodeCommand(command)), command);
  }
}

TEST(Codec, theCutOfAPipelineComesBackAsItWas) {
  DeploymentSpec spec = sampleSpec();
  spec.stages = {
      {{{"H100", "H200"}, 80_GiB, ""}, 2, LayerRange{0, 0}}, {}, {{}, {}, LayerRange{17, 31}}};
  Command command = commandOf(DeploymentApplied{spec, {7}, {}});
  EXPECT_EQ(decodeCommand(encodeCommand(command)), command);
}

// What the exception says that decoding throws; empty when it throws none.
std::string failureOf(const ByteString& bytes) {
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { (void)decodeCommand(bytes); })) {
    EXPECT_EQ(exception->getType(), kj::Exception::Type::UNIMPLEMENTED);
    return exception->getDescription().cStr();
  }
  return "";
}

TEST(Codec, aCommandOfALaterLevelIsNeverSkipped) {
  Command command = commandOf(NodeUncordoned{{"w1"}});
  command.schemaVersion = schemaLevelUnderstood();
  EXPECT_EQ(failureOf(encodeCommand(command)), "");
  std::string ours = std::to_string(command.schemaVersion);
  command.schemaVersion++;
  std::string later = std::to_string(command.schemaVersion);
  EXPECT_THAT(
      failureOf(encodeCommand(command)),
      ::testing::AllOf(::testing::HasSubstr("E0712"), ::testing::HasSubstr("schema level " + later),
                       ::testing::HasSubstr("levels up to " + ours)));
}

TEST(Codec, aCommandOfAnUnknownKindIsNeverSkipped) {
  ByteString bytes = encodeCommand(commandOf(NodeUncordoned{{"w1"}}));
  uint16_t kind = 0;
  // The only two bytes that differ between two commands of one shape are the kind.
  ByteString other = encodeCommand(commandOf(NodeDrained{{"w1"}}));
  auto at = static_cast<size_t>(std::ranges::mismatch(bytes, other).in1 - bytes.begin());
  std::memcpy(&kind, &bytes[at], sizeof(kind));
  EXPECT_EQ(kind, static_cast<uint16_t>(schema::Command::NODE_UNCORDONED));
  kind = 0x7fff;
  std::memcpy(&bytes[at], &kind, sizeof(kind));
  EXPECT_THAT(failureOf(bytes), ::testing::HasSubstr("E0712 the log holds a command"));
}

TEST(Codec, equalCommandsGiveEqualBytes) {
  for (const auto& body : everyBody()) {
    EXPECT_EQ(encodeCommand(commandOf(body)), encodeCommand(commandOf(body)));
  }
}

// Built in another order than it is read, with what its reader would never miss.
TEST(Codec, canonicalBytesAreThoseOfTheLibrary) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Batch>();
  auto commands = root.initCommands(3);
  commands.set(2, kj::StringPtr("last").asBytes());
  commands.set(0, kj::StringPtr("a command that is longer than a word").asBytes());
  root.initId().setLow(7);
  root.setNumber(0);
  for (auto reader : {root.asReader(), schema::Batch::Reader()}) {
    auto words = capnp::canonicalize(reader);
    auto bytes = words.asBytes();
    EXPECT_EQ(codec::canonicalBytes<schema::Batch>(reader),
              ByteString(reinterpret_cast<const char*>(bytes.begin()), bytes.size()));
  }
}

// An older agent reads the kind alone: it refuses this rank, and goes on with the others.
TEST(Codec, aPresetLooksLikeAProcessWithoutACommandToWhoDoesNotKnowIt) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::Engine>();
  EngineSpec engine;
  engine.kind = EngineKind::TORCHRUN;
  encode(engine, out);
  EXPECT_EQ(out.getKind(), static_cast<uint8_t>(EngineKind::PROCESS));
  EXPECT_EQ(out.getCommand().size(), 0u);
  EXPECT_EQ(decode(out.asReader()), engine);
  out.setPreset(200);
  EXPECT_NE(kj::runCatchingExceptions([&] { (void)decode(out.asReader()); }), nullptr);
}

TEST(Codec, aBatchComesBackAsItWas) {
  Batch batch = sampleBatch();
  EXPECT_EQ(decodeBatch(encodeBatch(batch)), batch);
  EXPECT_EQ(batch.lastIndex().value, 30 + batch.commands.size() - 1);
}

std::string hexLines(const ByteString& bytes) {
  static constexpr char DIGITS[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<unsigned char>(bytes[i]);
    out += DIGITS[byte >> 4];
    out += DIGITS[byte & 15];
    if (i % 32 == 31 || i + 1 == bytes.size()) out += '\n';
  }
  return out;
}

// What stands in ZooKeeper and RocksDB today must be readable for ever: another golden file means
// another format.
TEST(Codec, theBytesOfTheLogStayAsTheyAre) {
  muster::testing::expectGolden("golden/protocol/batch.hex", hexLines(encodeBatch(sampleBatch())));
}

TEST(Codec, theChainFollowsEveryByte) {
  ByteString bytes = encodeBatch(sampleBatch());
  ChainHash chain = chainAfter(bytes);
  for (size_t at = 0; at < bytes.size(); at += 37) {
    ByteString flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_NE(chainAfter(flipped), chain) << at;
  }
}

TEST(Codec, refusesABatchInWhichOneBitIsFlipped) {
  ByteString bytes = encodeBatch(sampleBatch());
  for (size_t bit = 0; bit < 8 * bytes.size(); bit += 13) {
    ByteString flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(kj::runCatchingExceptions([&] { (void)decodeBatch(flipped); }), nullptr) << bit;
  }
}

TEST(Codec, refusesACutOffBatchAtEveryLength) {
  ByteString bytes = encodeBatch(sampleBatch());
  for (size_t size = 0; size < bytes.size(); size += 5) {
    auto cut = bytes.substr(0, size);
    // Canonical bytes end where the last pointer's target ends, so every cut leaves a pointer into
    // nothing.
    EXPECT_NE(kj::runCatchingExceptions([&] { (void)decodeBatch(cut); }), nullptr) << size;
  }
}

TEST(Codec, randomBytesNeverCrash) {
  SeededRandom random(42);
  for (int round = 0; round < 2000; ++round) {
    ByteString bytes(8 * random.below(64), '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random.next());
    (void)kj::runCatchingExceptions([&] { (void)decodeBatch(bytes); });
    (void)kj::runCatchingExceptions([&] { (void)decodeCommand(bytes); });
  }
}

TEST(Codec, reportsAndOrdersComeBackAsTheyWere) {
  capnp::MallocMessageBuilder message;
  RankReport report = sampleReport();
  auto out = message.initRoot<schema::RankReport>();
  encode(report, out);
  EXPECT_EQ(decode(out.asReader()), report);

  Assignment assignment{
      .ref = {{7}, {1}, {3}, {0}}, .tenant = {"default"}, .deployment = {"sample"}};
  assignment.worldSize = 2;
  assignment.devices = {{0}, {3}};
  assignment.memory = 1_GiB;
  assignment.engine = sampleSpec().engine;
  assignment.plan = samplePlaced().plan;
  assignment.secret.fill(7);
  Order order{.stamp = {{{1, {2, 3}}, {4}}, {5}}, .agent = {6, 7}, .assignments = {assignment}};
  capnp::MallocMessageBuilder orderMessage;
  auto orderOut = orderMessage.initRoot<schema::Order>();
  encode(order, orderOut);
  EXPECT_EQ(decode(orderOut.asReader()), order);

  DeviceInfo gpu{.index = {0}, .type = "H100", .uuid = "GPU-a", .memory = 80_GiB, .island = 1};
  gpu.unhealthy = "XID 79";
  gpu.product = "NVIDIA H100 80GB HBM3";
  gpu.busId = "0000:1b:00.0";
  gpu.numaNode = 0;
  NodeInfo described{.name = {"gpu01"}, .devices = {gpu, {.index = {1}, .type = "cpu"}}};
  described.driver = "550.54.15";
  WorkerHello hello{.cluster = "c", .node = described, .incarnation = {1, 2}, .ranks = {report}};
  hello.weightAddress = "10.0.0.3:7411";
  capnp::MallocMessageBuilder helloMessage;
  auto helloOut = helloMessage.initRoot<schema::WorkerHello>();
  encode(hello, helloOut);
  EXPECT_EQ(decode(helloOut.asReader()), hello);

  NodeReport beat{.sequence = 3, .ranks = {report}, .obeyed = order.stamp};
  beat.unhealthy = {{{0}, "XID 79"}, {{5}, "GPU is lost"}};
  capnp::MallocMessageBuilder beatMessage;
  auto beatOut = beatMessage.initRoot<schema::NodeReport>();
  encode(beat, beatOut);
  EXPECT_EQ(decode(beatOut.asReader()), beat);
}

TEST(Codec, whereWeightsAreComesBackWhole) {
  WeightSources sources{.manifest = {.source = "file:/m", .digest = "d", .configJson = "{}"},
                        .peers = {{{"gpu01"}, "10.0.0.3:7411"}, {{"gpu02"}, "[::1]:7411"}},
                        .checksums = {{"model.norm.weight", "00000000000000aa"}},
                        .missing = "no folder"};
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::WeightSources>();
  encode(sources, out);
  EXPECT_EQ(decode(out.asReader()), sources);
}

TEST(Codec, refusesANumberThatNoEnumeratorHas) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::RankReport>();
  out.setPhase(200);
  EXPECT_NE(kj::runCatchingExceptions([&] { (void)decode(out.asReader()); }), nullptr);
}

TEST(Codec, aRefusalKeepsItsErrorsAndFixes) {
  Refusal refusal{RefusalCode::UNKNOWN_FIELD,
                  "unknown field",
                  {{RefusalCode::UNKNOWN_FIELD, "a.b", 3, 4, "message", "hint", "line"}},
                  {"muster explain deployment"}};
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::Refusal>();
  encode(refusal, out);
  EXPECT_EQ(decode(out.asReader()), refusal);
}

}  // namespace
}  // namespace muster::codec_test
