// Whatever is in the log, every coordinator makes the same of it, and nothing in it can stop one.
#include "coordinator/core/advance.h"
#include "coordinator/core/cluster_index.h"
#include "coordinator/core/cluster_view.h"
#include "coordinator/core/invariants.h"
#include "coordinator/core/record_key.h"
#include "protocol/codec.h"
#include "tests/coordinator/core/core_cluster.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace muster::coordinator::core_property_test {
namespace {

using ::testing::IsEmpty;
using testing::node;
using testing::spec;

// Draws commands that are often right, often nearly right, and sometimes absurd.
class CommandDrawer {
 public:
  CommandDrawer(const State& state, uint64_t seed) : state_(state), random_(seed) {}

  Command draw() {
    Command command;
    command.principal = "test/" + std::to_string(below(3));
    command.decidedAt = oneIn(50) ? Instant{static_cast<int64_t>(random_.next())}
                                  : later_(state_.clusterTime, Duration{below(30'000'000'000)});
    if (oneIn(2)) command.request = {{1, random_.below(40)}, command.decidedAt};
    command.decidedWall = {static_cast<int64_t>(random_.next())};
    command.body = drawBody();
    return command;
  }

 private:
  static Instant later_(Instant time, Duration by) {
    return time.nanos > INT64_MAX - by.nanos ? time : time + by;
  }
  int64_t below(int64_t limit) {
    return static_cast<int64_t>(random_.below(static_cast<uint64_t>(limit)));
  }
  bool oneIn(uint64_t count) { return random_.below(count) == 0; }
  uint32_t small(uint32_t limit) {
    return oneIn(100) ? static_cast<uint32_t>(random_.next())
                      : static_cast<uint32_t>(random_.below(limit));
  }
  NodeName drawNode() { return {oneIn(100) ? "" : "w" + std::to_string(small(5))}; }
  DeploymentName drawName() { return {"d" + std::to_string(small(4))}; }
  DeploymentUid drawUid() { return {oneIn(50) ? random_.next() : random_.below(6) + 1}; }
  ReplicaPhase drawPhase() { return static_cast<ReplicaPhase>(random_.below(10)); }
  Reason drawReason() { return static_cast<Reason>(random_.below(21)); }
  Revision drawRevision() { return {oneIn(3) ? random_.below(5) : 0}; }

  NodeInfo drawInfo() {
    NodeInfo info = node("x").cpus(small(4) % 9, Bytes{random_.below(4) << 30}).get();
    info.name = drawNode();
    if (oneIn(30) && !info.devices.empty()) info.devices.push_back(info.devices.front());
    return info;
  }

  // A placement that is right when the state happens to allow it.
  ReplicaPlaced drawPlaced() {
    ReplicaPlaced body;
    body.deployment = drawUid();
    body.replica = {small(4)};
    if (const DeploymentState* deployment = state_.findDeployment(body.deployment)) {
      body.generation = deployment->nextGeneration;
      body.revision = deployment->revision;
    }
    if (oneIn(10)) body.generation = {random_.next()};
    body.plan.tensor = oneIn(30) ? small(1) : static_cast<uint32_t>(random_.below(3) + 1);
    for (uint32_t i = 0; i < body.plan.tensor && i < 8; ++i) {
      body.placement.ranks.push_back({{i},
                                      drawNode(),
                                      {{small(3)}},
                                      Bytes{oneIn(50) ? random_.next() : random_.below(3) << 29}});
    }
    return body;
  }

  // The next generation of one that exists, right when the state happens to allow it.
  ReplicaPlaced drawAdvance() {
    GenerationRef ref = drawGeneration();
    ReplicaPlaced body{.deployment = ref.deployment, .replica = ref.replica};
    const PlacedGeneration* current = state_.findCurrent(ref);
    if (!current) return body;
    body.generation = state_.deployments.at(ref.deployment).nextGeneration;
    body.revision = current->revision;
    body.plan = current->plan;
    body.placement = current->placement;
    for (auto& rank : body.placement.ranks) {
      bool stays = !hasEnded(current->ranks[rank.rank.value]) && !oneIn(3);
      if (stays) continue;
      if (oneIn(2)) rank.node = drawNode();
      if (oneIn(2)) rank.devices = {{small(3)}};
    }
    return body;
  }

  // Mostly a generation that exists.
  GenerationRef drawGeneration() {
    std::vector<GenerationRef> refs;
    for (const auto& [uid, deployment] : state_.deployments) {
      for (const auto& [number, replica] : deployment.replicas) {
        if (replica.current) refs.push_back({uid, number, replica.current->generation});
      }
    }
    for (const auto& [ref, retired] : state_.retired) refs.push_back(ref);
    if (refs.empty() || oneIn(20)) return {drawUid(), {small(4)}, {random_.below(9)}};
    return refs[random_.below(refs.size())];
  }

  RanksReleased drawReleased() {
    RanksReleased body{.node = drawNode(), .ranks = {}};
    GenerationRef ref = drawGeneration();
    auto retired = state_.retired.find(ref);
    if (retired != state_.retired.end()) {
      body.node = retired->second.ranks.begin()->second.node;
      for (const auto& [number, rank] : retired->second.ranks) {
        if (rank.node == body.node) {
          body.ranks.push_back({ref.deployment, ref.replica, ref.generation, number});
        }
      }
    }
    if (oneIn(4) && !body.ranks.empty()) body.ranks.push_back(body.ranks.front());
    if (oneIn(10)) body.ranks.push_back({ref.deployment, ref.replica, ref.generation, {small(4)}});
    return body;
  }

  RankProgressed drawProgress() {
    GenerationRef ref = drawGeneration();
    return {.rank = {ref.deployment, ref.replica, ref.generation, {small(3)}},
            .phase = drawPhase(),
            .reason = drawReason(),
            .message = oneIn(3) ? "m" : "",
            .pid = small(100),
            .processStartTime = 3,
            .loaded = Bytes{random_.next()},
            .rendezvous = oneIn(2) ? "10.0.0.1:1" : "",
            .firstError = oneIn(3) ? "boom" : ""};
  }

  DeploymentSpec drawSpec() {
    auto builder = spec("x").replicas(small(4));
    if (oneIn(3)) builder.argument("a", std::to_string(random_.below(3)));
    if (oneIn(3)) builder.native();
    DeploymentSpec out = builder.get();
    out.name = drawName();
    if (oneIn(50)) out.tenant = {"No Name"};
    return out;
  }

  CommandBody drawBody() {
    GenerationRef ref = drawGeneration();
    switch (random_.below(26)) {
      case 0:
        return LeaderStarted{{"co1"}, {random_.below(50)}, "r", {1, 1}};
      case 1:
      case 2:
        return NodeRegistered{drawInfo(), {1, random_.below(5)}};
      case 3:
        return NodePhaseChanged{drawNode(),
                                static_cast<NodePhase>(random_.below(6)),
                                "w",
                                {static_cast<int64_t>(random_.next())}};
      case 4:
        return NodeCordoned{drawNode(), "c"};
      case 5:
        return NodeUncordoned{drawNode()};
      case 6:
        return NodeDrainStarted{drawNode(), "d", oneIn(2)};
      case 7:
        return NodeDrained{drawNode()};
      case 8: {
        ModelManifest manifest;
        manifest.source = oneIn(9) ? "" : "file:/models/x";
        manifest.digest = std::to_string(random_.below(3));
        return ModelRecorded{manifest};
      }
      case 9:
      case 10:
      case 11:
        return DeploymentApplied{drawSpec(), oneIn(9) ? drawUid() : state_.nextUid, drawRevision()};
      case 12:
        return DeploymentScaled{{"default"}, drawName(), small(5), drawRevision()};
      case 13:
        return DeploymentDeleted{{"default"}, drawName(), drawRevision()};
      case 14:
        return ReplicaWaiting{drawUid(), {small(4)}, drawReason(), "m", {{{"w1"}, "busy", "x"}},
                              {"f"}};
      case 15:
        return ReplicaRetired{ref.deployment, ref.replica, ref.generation, drawReason(), "m"};
      case 16:
        return drawReleased();
      case 17:
      case 18:
        return drawProgress();
      case 23:
      case 24:
      case 25:
        return drawAdvance();
      case 22:
        return SchemaLevelRaised{static_cast<uint32_t>(random_.below(SCHEMA_LEVEL_FIRST + 1)),
                                 {{"co1"}}};  // never above the state's
      default:
        return drawPlaced();
    }
  }

  const State& state_;
  SeededRandom random_;
};

std::vector<StoredRecord> recordsOf(const std::map<std::string, std::string>& store) {
  std::vector<StoredRecord> records;
  for (const auto& [key, value] : store) records.push_back({key, value});
  return records;
}

class RandomLog : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomLog, makesTheSameStateEverywhereAndBreaksNothing) {
  constexpr int COMMANDS = 600;
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  State state = emptyState({1, {7, 7}});
  state.schemaLevel = SCHEMA_LEVEL_ADVANCES;
  State other = state;
  std::map<std::string, std::string> store;
  for (const auto& record : allRecords(state)) store[record.key] = record.value;
  CommandDrawer drawer(state, GetParam());
  int rejected = 0;
  for (int i = 0; i < COMMANDS; ++i) {
    Command command = drawer.draw();
    LogIndex index = state.applied.next();
    Applied applied = apply(state, index, command);
    rejected += applied.rejected.has_value();
    // Another coordinator reads the command from the log's bytes.
    Applied there = apply(other, index, decodeCommand(encodeCommand(command)));
    ASSERT_EQ(applied.writes, there.writes);
    ASSERT_EQ(applied.events, there.events);
    ASSERT_EQ(applied.rejected, there.rejected);
    ASSERT_EQ(state.hash(), other.hash());
    for (const auto& write : applied.writes) {
      if (write.value) {
        store[write.key] = *write.value;
      } else {
        ASSERT_EQ(store.erase(write.key), 1u) << write.key;
      }
    }
    ASSERT_THAT(violations(state), IsEmpty()) << "after command " << i;
  }
  EXPECT_GT(rejected, COMMANDS / 20);
  EXPECT_LT(rejected, COMMANDS * 19 / 20) << "nothing is tested when all is rejected";
  ASSERT_EQ(recordsOf(store), allRecords(state)) << "the write sets are the state";
  State loaded = loadState(recordsOf(store));
  EXPECT_EQ(loaded, state);
  EXPECT_EQ(loaded.hash(), state.hash());
}

// The planner's index is brought up to date by what the commands name, and misses nothing.
TEST_P(RandomLog, leavesTheIndexThatIsKeptEqualToOneMadeAnew) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  State state = emptyState({1, {7, 7}});
  CommandDrawer drawer(state, GetParam());
  SeededRandom random(GetParam());
  ClusterIndex kept;
  kept.of(state);
  for (int i = 0; i < 600; ++i) {
    Command command = drawer.draw();
    apply(state, state.applied.next(), command);
    kept.note(command.body);
    if (random.below(5) != 0) continue;
    ASSERT_EQ(kept.of(state), sharding::PlacementIndex(clusterView(state))) << "after " << i;
  }
}

// Bytes that some other version, or a broken disk, has written. What decodes is applied, or
// rejected, and no more.
TEST_P(RandomLog, survivesCommandsWithFlippedBits) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  State state = emptyState({1, {7, 7}});
  CommandDrawer drawer(state, GetParam());
  SeededRandom random(GetParam() * 31);
  int decoded = 0;
  for (int i = 0; i < 300; ++i) {
    ByteString bytes = encodeCommand(drawer.draw());
    for (uint64_t flips = random.below(4); flips > 0; --flips) {
      bytes[random.below(bytes.size())] ^= static_cast<char>(1u << random.below(8));
    }
    std::optional<Command> command;
    auto unreadable = kj::runCatchingExceptions([&] { command = decodeCommand(bytes); });
    if (unreadable != nullptr || !command) continue;  // stops the reader of the log, as it must
    ++decoded;
    apply(state, state.applied.next(), *command);
    ASSERT_THAT(violations(state), IsEmpty()) << "after command " << i;
  }
  EXPECT_GT(decoded, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomLog, ::testing::Range<uint64_t>(1, 31));

// Faults at random for a while, then none: everything that can be satisfied becomes Ready, and
// nothing waits without a stated reason.
class RandomFaults : public ::testing::TestWithParam<uint64_t> {
 protected:
  static constexpr uint32_t NODES = 6;

  ~RandomFaults() noexcept override {}

  void fault() {
    NodeName name{"w" + std::to_string(random_.below(NODES))};
    FakeAgent& agent = cluster_.agents.at(name);
    switch (random_.below(12)) {
      case 0:
        if (agent.connected) cluster_.disconnect(name);
        return;
      case 1:
        agent.connected = false;  // hangs, the connection stands
        return;
      case 2:
      case 3:
        agent.incarnation = random_.guid();  // the agent starts again and adopts
        return reconnect(name);
      case 4:
        agent.incarnation = random_.guid();  // the machine starts again
        agent.ranks.clear();
        return reconnect(name);
      case 5:
        return failSomeRank(agent);
      case 6:
        return newLeader();
      case 7:
        cluster_.request(NodeCordoned{name, "test"}).value();
        return;
      case 8:
        cluster_.request(NodeDrainStarted{name, "test", random_.below(2) == 0}).value();
        return;
      case 9:
        cluster_.request(NodeUncordoned{name}).value();
        return;
      case 10:
        cluster_.request(scaleOf("a", 1 + static_cast<uint32_t>(random_.below(3)))).value();
        return;
      default:
        cluster_
            .request(applyOf(spec("b").devices(2).argument("x", std::to_string(random_.below(9)))))
            .value();
        return;
    }
  }
  void reconnect(const NodeName& name) {
    if (cluster_.observed.nodes.contains(name) && cluster_.agents.at(name).connected) {
      cluster_.disconnect(name);
    }
    cluster_.connect(name);
  }
  void failSomeRank(FakeAgent& agent) {
    if (agent.ranks.empty()) return;
    auto rank =
        std::next(agent.ranks.begin(), static_cast<ptrdiff_t>(random_.below(agent.ranks.size())));
    cluster_.failRank(rank->first, Reason::RANK_CRASHED, "boom");
  }
  void newLeader() {
    cluster_.startLeader(cluster_.state.epoch.next());
    for (auto& [name, agent] : cluster_.agents) {
      if (agent.connected) cluster_.connect(name);
    }
  }
  void heal() {
    for (auto& [name, agent] : cluster_.agents) {
      reconnect(name);
      cluster_.request(NodeUncordoned{name}).value();
    }
    for (int i = 0; i < 40; ++i) {
      cluster_.pass(5_s);
      cluster_.bringUp();
    }
  }

  CoreCluster cluster_{GetParam()};
  SeededRandom random_{GetParam()};
};

TEST_P(RandomFaults, settleOnceTheyStop) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  for (uint32_t i = 0; i < NODES; ++i)
    cluster_.addNode(node("w" + std::to_string(i)).cpus(2, 4_GiB));
  cluster_.request(applyOf(spec("a").replicas(2))).value();
  cluster_.request(applyOf(spec("b").devices(2))).value();
  cluster_.bringUp();
  for (int i = 0; i < 60 && !HasFatalFailure(); ++i) {
    fault();
    cluster_.pass(Duration{static_cast<int64_t>(random_.below(4'000'000'000))});
    if (random_.below(2) == 0) cluster_.bringUp();
  }
  heal();
  for (const auto& [uid, deployment] : cluster_.state.deployments) {
    EXPECT_EQ(deployment.phase, DeploymentPhase::READY)
        << deployment.spec.name.value << ": " << deployment.message;
  }
  EXPECT_THAT(cluster_.state.retired, IsEmpty()) << "devices are held by nothing";
  EXPECT_FALSE(cluster_.step());
  EXPECT_EQ(loadState(recordsOf(cluster_.store)), cluster_.state);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults, ::testing::Range<uint64_t>(1, 31));

// A log of a real life, with everything reconcile does in it.
TEST(CoreLog, replaysToTheSameBytes) {
  CoreCluster cluster(5);
  for (int i = 1; i <= 4; ++i) cluster.addNode(node("w" + std::to_string(i)).cpus(2, 4_GiB));
  cluster.request(applyOf(spec("a").devices(2).replicas(2))).value();
  cluster.bringUp();
  cluster.disconnect({"w1"});
  cluster.pass(10_s);
  cluster.failRank(cluster.rankOf("a", 1, 0), Reason::RANK_STALLED, "stuck");
  cluster.pass(5_s);
  cluster.connect({"w1"});
  cluster.bringUp();
  State replayed = emptyState({1, {7, 7}});
  for (const Command& command : cluster.log) {
    apply(replayed, replayed.applied.next(), decodeCommand(encodeCommand(command)));
  }
  EXPECT_EQ(replayed, cluster.state);
  EXPECT_EQ(loadState(recordsOf(cluster.store)), cluster.state);
}

TEST(CoreLog, hashesDifferWhenOneFieldDiffers) {
  CoreCluster one;
  CoreCluster two;
  one.addNode(node("w1").cpus(1, 4_GiB));
  two.addNode(node("w1").cpus(1, 4_GiB).rack("r1"));
  EXPECT_NE(one.state.hash(), two.state.hash());
}

TEST(Records, refuseWhatIsCutOffOrHasNoParent) {
  CoreCluster cluster;
  cluster.addNode(node("w1").cpus(2, 4_GiB));
  cluster.request(applyOf(spec("a").devices(2))).value();
  cluster.bringUp();
  std::vector<StoredRecord> records = allRecords(cluster.state);
  auto without = [&](const std::string& prefix) {
    std::vector<StoredRecord> rest;
    bool left = false;
    for (const auto& record : records) {
      bool skip = !left && record.key.starts_with(prefix);
      left |= skip;
      if (!skip) rest.push_back(record);
    }
    return rest;
  };
  EXPECT_NO_THROW(loadState(records));
  EXPECT_ANY_THROW(loadState(without("deployment/")));
  EXPECT_ANY_THROW(loadState(without("rank/")));
  EXPECT_ANY_THROW(loadState(without("generation/")));
  records[0].value.pop_back();
  EXPECT_ANY_THROW(loadState(records));
}

TEST(CoreNative, placesAModelByItsManifest) {
  CoreCluster cluster;
  cluster.addNode(node("w1").cpus(2, 4_GiB));
  cluster.addNode(node("w2").cpus(2, 4_GiB));
  ModelManifest manifest = sharding::test::manifestOf(sharding::test::tinyConfig());
  manifest.source = "file:/models/tiny";
  manifest.inspectedBy = {"w1"};
  std::set<std::string> files;
  for (const auto& tensor : manifest.tensors) files.insert(tensor.file);
  manifest.files.clear();
  for (const auto& file : files) manifest.files.push_back({file, 1_GiB, "0"});
  cluster.request(ModelRecorded{manifest}).value();
  auto wish = spec("tiny").native();
  DeploymentApplied body = applyOf(wish);
  body.spec.gpus.reset();
  body.spec.parallel = {2, 2};
  cluster.request(body).value();
  cluster.bringUp();
  EXPECT_EQ(cluster.places("tiny", 0), "w1:0 w1:1 w2:0 w2:1");
  EXPECT_EQ(cluster.deployment("tiny").phase, DeploymentPhase::READY);
  EXPECT_EQ(cluster.replica("tiny", 0).current->manifestDigest, manifest.digest);
  EXPECT_EQ(cluster.agents.at({"w2"}).wanted.begin()->second.manifestDigest, manifest.digest);
  EXPECT_EQ(loadState(recordsOf(cluster.store)), cluster.state);
}

}  // namespace
}  // namespace muster::coordinator::core_property_test
