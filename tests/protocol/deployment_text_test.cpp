#include "protocol/deployment_text.h"

#include "base/random.h"
#include "protocol/deployment_yaml.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster::deployment_text_test {
namespace {

// Any spec that the parser could have made, from a seed.
class SpecMaker {
 public:
  explicit SpecMaker(uint64_t seed) : random_(seed) {}

  DeploymentSpec make() {
    DeploymentSpec spec;
    spec.tenant = {name()};
    spec.name = {name()};
    spec.model.source = "file:/m" + text();
    if (coin()) spec.model.maxContext = 1 + random_.below(1 << 20);
    makeNamesAndBalance(spec);
    if (coin()) {
      makeProcess(spec.engine);
    } else if (coin()) {
      spec.model.dtype = "int8";
      spec.parallel.expert = 2 + static_cast<uint32_t>(random_.below(8));
    }
    if (coin()) spec.engine.env = map("V_");
    makeShape(spec);
    spec.replicas = static_cast<uint32_t>(random_.below(10));
    makePlacement(spec.placement);
    spec.timeouts = {duration(), duration(), duration()};
    return spec;
  }

  void makeNamesAndBalance(DeploymentSpec& spec) {
    spec.model.aliases.clear();
    for (uint64_t n = random_.below(3); n > 0; --n) {
      spec.model.aliases.push_back("Org/" + name() + "." + std::to_string(n));
    }
    spec.balance.reset();
    if (coin()) spec.balance = static_cast<Balance>(random_.below(BALANCE_TEXTS.size()));
  }

 private:
  void makeProcess(EngineSpec& engine) {
    engine.kind = EngineKind::PROCESS;
    engine.command = texts();
    engine.command.push_back(text());
    engine.args = map("arg-");
    if (coin()) engine.ready.timeout = duration();
    if (coin()) {
      engine.ready.httpPath = "/" + name();
    } else if (coin()) {
      engine.ready.logLine = text();
    }
  }

  void makeShape(DeploymentSpec& spec) {
    if (coin()) spec.gpu.types = texts();
    if (coin()) spec.gpu.memoryMin = {1 + random_.next() % (1ull << 40)};
    if (coin()) spec.gpu.link = "nvlink";
    if (coin()) spec.parallel.tensor = 1 + static_cast<uint32_t>(random_.below(8));
    if (coin()) spec.parallel.pipeline = 1 + static_cast<uint32_t>(random_.below(8));
    if (spec.engine.kind == EngineKind::NATIVE && coin()) makeStages(spec);
    auto sizes = parallelOf(spec);
    if (sizes.tensor && sizes.pipeline && coin()) spec.gpus = *sizes.tensor * *sizes.pipeline;
  }

  // As many as pp is, with tp where it is given.
  void makeStages(DeploymentSpec& spec) {
    uint32_t next = 0;  // layers below are of the stages before, at least
    uint64_t count = spec.parallel.pipeline.value_or(1 + static_cast<uint32_t>(random_.below(5)));
    for (; count > 0; --count) {
      StageRequest stage;
      if (coin()) stage.tensor = spec.parallel.tensor;
      if (coin()) stage.gpu.types = texts();
      if (coin()) stage.gpu.memoryMin = {1 + random_.next() % (1ull << 40)};
      if (coin()) {
        uint32_t last = next + static_cast<uint32_t>(random_.below(9));
        stage.layers = LayerRange{next, last};
        next = last;
      }
      ++next;
      spec.stages.push_back(stage);
    }
    if (coin()) spec.parallel.tensor.reset();
  }

  void makePlacement(PlacementRules& rules) {
    for (uint64_t n = random_.below(3); n > 0; --n) rules.nodes.push_back({"in-" + name()});
    for (uint64_t n = random_.below(3); n > 0; --n) rules.exclude.push_back({"out-" + name()});
    if (coin()) rules.pool = name();
    if (coin()) rules.spread = coin() ? Spread::NODE : Spread::RACK;
    if (coin()) rules.fabric = coin() ? Fabric::PREFERRED : Fabric::REQUIRED;
    rules.tpWithinNode = coin();
  }

  bool coin() { return random_.below(2) == 0; }
  Duration duration() { return {1'000'000 * static_cast<int64_t>(1 + random_.below(1 << 30))}; }

  std::string name() {
    std::string made(1, static_cast<char>('a' + random_.below(26)));
    constexpr std::string_view LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-";
    for (uint64_t n = random_.below(12); n > 0; --n) made += LETTERS[random_.below(LETTERS.size())];
    return made;
  }

  // Never empty; full of what YAML could misread.
  std::string text() {
    constexpr std::string_view PIECES[] = {
        "yes",      "1",    "01",  "1.10", ":", " ",  "#", "-",   "\"",    "\\",   "'",
        "\n",       "\t",   "{",   "]",    ",", "&x", "*", "!",   "null",  "true", "~",
        "\xc3\xa4", "0x1f", "1e3", "/",    "%", "@",  "`", "...", "12:30", "Off"};
    std::string made;
    for (uint64_t n = 1 + random_.below(3); n > 0; --n)
      made += PIECES[random_.below(std::size(PIECES))];
    return made;
  }

  std::vector<std::string> texts() {
    std::vector<std::string> made;
    for (uint64_t n = random_.below(3); n > 0; --n) made.push_back(text());
    return made;
  }

  std::map<std::string, std::string> map(const std::string& prefix) {
    std::map<std::string, std::string> made;
    for (uint64_t n = random_.below(4); n > 0; --n) {
      made[prefix + std::to_string(random_.below(100))] = coin() ? text() : "";
    }
    return made;
  }

  SeededRandom random_;
};

void expectReadsBack(const std::string& text, const DeploymentSpec& spec) {
  SCOPED_TRACE(text);
  auto parsed = parseDeployments(text, "round trip");
  ASSERT_TRUE(parsed.ok()) << parsed.refusal().text;
  ASSERT_EQ(parsed->size(), 1u);
  ASSERT_EQ(parsed->at(0), spec);
}

TEST(DeploymentText, readsBackAsTheSameSpec) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    DeploymentSpec spec = SpecMaker(seed).make();
    expectReadsBack(toYaml(spec), spec);
    expectReadsBack(toJson(spec), spec);
    if (HasFatalFailure()) return;
  }
}

// What the coordinators do and what a plan says of it are decided in two places.
TEST(DeploymentText, tellsOfARestartWhereRanksDiffer) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SpecMaker maker(seed);
    DeploymentSpec before = maker.make();
    before.name = {"chat"};
    before.tenant = {"default"};
    DeploymentSpec after = before;
    after.replicas = before.replicas + 1;
    maker.makeNamesAndBalance(after);
    EXPECT_TRUE(haveSameRanks(before, after));
    EXPECT_FALSE(restartsRanks(diffDeployments(before, after)));
    DeploymentSpec other = maker.make();
    other.name = before.name;
    other.tenant = before.tenant;
    EXPECT_EQ(restartsRanks(diffDeployments(before, other)), !haveSameRanks(before, other));
  }
}

DeploymentSpec chat() {
  DeploymentSpec spec;
  spec.name = {"chat"};
  spec.model.source = "file:/models/chat";
  spec.engine.kind = EngineKind::PROCESS;
  spec.engine.command = {"serve", "--fast"};
  spec.engine.args = {{"max-num-seqs", "128"}, {"name", "yes"}};
  spec.parallel.tensor = 2;
  return spec;
}

TEST(DeploymentText, isCanonical) {
  EXPECT_EQ(toYaml(chat()), R"(version: 1
kind: deployment
tenant: default
name: chat
model: file:/models/chat
engine:
  kind: process
  args:
    max-num-seqs: 128
    name: "yes"
  command: [serve, "--fast"]
parallel:
  tp: 2
replicas: 1
timeouts:
  ready: 30m
  stall: 2m
  drain: 2m
)");
  EXPECT_EQ(toJson(chat()),
            R"({"version":1,"kind":"deployment","tenant":"default","name":"chat",)"
            R"("model":"file:/models/chat","engine":{"kind":"process","args":{"max-num-seqs":128,)"
            R"("name":"yes"},"command":["serve","--fast"]},"parallel":{"tp":2},"replicas":1,)"
            R"("timeouts":{"ready":"30m","stall":"2m","drain":"2m"}})");
}

DeploymentSpec uneven() {
  DeploymentSpec spec;
  spec.name = {"chat"};
  spec.model.source = "file:/models/chat";
  spec.stages = {{{{"H100"}, 80_GiB, ""}, 2, LayerRange{0, 9}}, {{}, {}, LayerRange{10, 31}}, {}};
  return spec;
}

TEST(DeploymentText, writesStagesOnOneLine) {
  EXPECT_NE(toYaml(uneven()).find("stages: [{gpu: {type: [H100], min_memory: 80GiB}, tp: 2, "
                                  "layers: 0-9}, {layers: 10-31}, {layers: auto}]\n"),
            std::string::npos)
      << toYaml(uneven());
  EXPECT_NE(toJson(uneven()).find(
                R"("stages":[{"gpu":{"type":["H100"],"min_memory":"80GiB"},"tp":2,"layers":"0-9"},)"
                R"({"layers":"10-31"},{"layers":"auto"}])"),
            std::string::npos)
      << toJson(uneven());
}

TEST(DeploymentDiff, anotherCutOfThePipelineRestartsRanks) {
  DeploymentSpec before = uneven();
  before.stages.resize(2);
  DeploymentSpec after = before;
  after.stages[0] = {{}, {}, LayerRange{0, 15}};
  after.stages[1] = {{}, {}, LayerRange{16, 31}};
  auto diff = diffDeployments(before, after);
  ASSERT_EQ(diff.changes.size(), 1u);
  EXPECT_EQ(diff.changes[0].path, "stages");
  EXPECT_EQ(diff.changes[0].after, "[{layers: 0-15}, {layers: 16-31}]");
  EXPECT_TRUE(restartsRanks(diff));
  EXPECT_FALSE(haveSameRanks(before, after));
}

TEST(DeploymentDiff, namesEachChangedField) {
  DeploymentSpec after = chat();
  after.engine.args["max-num-seqs"] = "256";
  after.engine.args.erase("name");
  after.replicas = 3;
  after.parallel.pipeline = 2;
  auto diff = diffDeployments(chat(), after);
  using enum ChangeEffect;
  std::vector<FieldChange> wanted = {{"engine.args.max-num-seqs", "128", "256", RESTARTS_RANKS},
                                     {"engine.args.name", "\"yes\"", "", RESTARTS_RANKS},
                                     {"parallel.pp", "", "2", RESTARTS_RANKS},
                                     {"replicas", "1", "3", IN_PLACE}};
  EXPECT_EQ(diff.changes, wanted);
  EXPECT_EQ(diff.unchanged, 9u) << "tenant, name, model, kind, command, tp and three timeouts";
  EXPECT_TRUE(restartsRanks(diff));
  EXPECT_EQ(toText(diff),
            "  ~ engine.args.max-num-seqs   128 -> 256             restarts ranks\n"
            "  ~ engine.args.name           \"yes\" -> (none)        restarts ranks\n"
            "  ~ parallel.pp                (none) -> 2            restarts ranks\n"
            "  ~ replicas                   1 -> 3                 in place\n"
            "  = 9 fields unchanged\n");
}

TEST(DeploymentDiff, onlyReplicasChangeInPlace) {
  DeploymentSpec after = chat();
  EXPECT_TRUE(diffDeployments(chat(), after).changes.empty());
  EXPECT_FALSE(restartsRanks(diffDeployments(chat(), after)));
  after.replicas = 2;
  EXPECT_FALSE(restartsRanks(diffDeployments(chat(), after)));
  after.timeouts.drain = 3_min;
  EXPECT_TRUE(restartsRanks(diffDeployments(chat(), after)));
}

// Whatever two specs differ in, the diff says so: nothing of a spec escapes the table of fields.
TEST(DeploymentDiff, isEmptyExactlyForEqualSpecs) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    DeploymentSpec a = SpecMaker(seed).make();
    DeploymentSpec b = SpecMaker(seed + 1).make();
    EXPECT_EQ(diffDeployments(a, b).changes.empty(), a == b);
    EXPECT_TRUE(diffDeployments(a, a).changes.empty());
  }
}

}  // namespace
}  // namespace muster::deployment_text_test
