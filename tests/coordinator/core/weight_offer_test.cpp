// Which nodes a rank is told to load from, and whose checksums prove what they give.
#include "coordinator/core/weight_offer.h"

#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::weight_offer_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::node;
using ::testing::Not;
using ::testing::Pair;
using testing::spec;

std::vector<NodeName> names(const std::vector<std::string>& texts) {
  std::vector<NodeName> out;
  for (const auto& text : texts) out.push_back({text});
  return out;
}

// chat has two replicas of two ranks: chat/0 on w1 and w2, chat/1 on w3 and w4. w5 is spare and has
// inspected the model.
class WeightOfferTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"w1", "w2", "w3", "w4", "w5"}) {
      cluster.addNode(node(name).cpus(1, 4_GiB));
    }
    auto wanted = spec("chat").devices(2).native().replicas(2);
    source = wanted.get().model.source;
    cluster.applyRaw(ModelRecorded{{.source = source, .digest = "d1", .inspectedBy = {"w5"}}});
    cluster.applyRaw(DeploymentApplied{wanted.get(), cluster.state.nextUid, {}});
    place(0, "w1", "w2");
    place(1, "w3", "w4");
  }
  void place(uint32_t replica, const std::string& first, const std::string& second) {
    ReplicaPlaced placed{.deployment = cluster.deployment("chat").uid,
                         .replica = {replica},
                         .generation = {replica + 1},
                         .revision = cluster.deployment("chat").revision,
                         .plan = {.tensor = 2, .pipeline = 1, .stageFirstLayer = {0}}};
    placed.placement.ranks = {{{0}, {first}, {{0}}, 1_GiB}, {{1}, {second}, {{0}}, 1_GiB}};
    ASSERT_EQ(cluster.applyRaw(placed).rejected, std::nullopt);
  }
  // All ranks of chat/1 are Ready; chat/0 only begins.
  void makeReady(uint32_t replica) {
    for (uint32_t rank = 0; rank < 2; ++rank) {
      RankRef ref = cluster.rankOf("chat", replica, rank);
      cluster.state.deployments.at(ref.deployment)
          .replicas.at(ref.replica)
          .current->ranks[rank]
          .phase = ReplicaPhase::READY;
    }
  }
  WeightOffer offer(const std::string& at, uint32_t replica, uint32_t rank,
                    const std::vector<std::string>& serving) {
    auto offer =
        offerWeights(cluster.state, {at}, cluster.rankOf("chat", replica, rank), names(serving));
    EXPECT_TRUE(offer.ok()) << (offer ? "" : offer.refusal().text);
    return offer ? *offer : WeightOffer();
  }

  CoreCluster cluster;
  std::string source;
};

const std::vector<std::string> ALL = {"w1", "w2", "w3", "w4", "w5"};

TEST_F(WeightOfferTest, readyNodesComeFirstThenTheInspectorThenTheOthers) {
  makeReady(1);
  EXPECT_EQ(offer("w1", 0, 0, ALL).nodes, names({"w3", "w4", "w5", "w2"}));
  EXPECT_EQ(offer("w2", 0, 1, ALL).nodes, names({"w4", "w3", "w5", "w1"}))
      << "ranks begin with different nodes";
}

TEST_F(WeightOfferTest, whileNobodyIsReadyTheInspectorIsFirst) {
  EXPECT_EQ(offer("w1", 0, 0, ALL).nodes, names({"w5", "w2", "w3", "w4"}));
}

TEST_F(WeightOfferTest, onlyNodesThatServeAreNamedAndNeverTheOneThatAsks) {
  makeReady(1);
  EXPECT_EQ(offer("w1", 0, 0, {"w1", "w4"}).nodes, names({"w4"}));
  EXPECT_THAT(offer("w1", 0, 0, {"w1"}).nodes, IsEmpty());
}

TEST_F(WeightOfferTest, aFewOfManyAreNamedAndTheInspectorIsAmongThem) {
  std::vector<std::string> many;
  for (int i = 10; i < 40; ++i) many.push_back("w" + std::to_string(i));
  many.push_back("w5");
  auto nodes = offer("w1", 0, 0, many).nodes;
  EXPECT_EQ(nodes.size(), WEIGHT_PEERS_MAX);
  EXPECT_THAT(nodes, Contains(NodeName{"w5"}));
}

TEST_F(WeightOfferTest, theTwinIsTheReadyRankWithTheSameSlices) {
  EXPECT_THAT(offer("w2", 0, 1, ALL).twins, IsEmpty());
  makeReady(1);
  EXPECT_THAT(offer("w2", 0, 1, ALL).twins,
              ElementsAre(Pair(NodeName{"w4"}, cluster.rankOf("chat", 1, 1))));
  RankRef twin = cluster.rankOf("chat", 1, 1);
  auto& other = *cluster.state.deployments.at(twin.deployment).replicas.at(twin.replica).current;
  other.plan.tensor = 1;
  EXPECT_THAT(offer("w2", 0, 1, ALL).twins, IsEmpty()) << "another cut has other slices";
}

TEST_F(WeightOfferTest, ranksOfAnotherModelOrEngineProveNothing) {
  makeReady(1);
  RankRef ref = cluster.rankOf("chat", 1, 0);
  auto& other = *cluster.state.deployments.at(ref.deployment).replicas.at(ref.replica).current;
  other.manifestDigest = "d2";
  EXPECT_THAT(offer("w1", 0, 0, ALL).nodes.front(), NodeName{"w5"});
  other.manifestDigest = "d1";
  other.spec.engine.kind = EngineKind::PROCESS;
  EXPECT_THAT(offer("w1", 0, 0, ALL).nodes.front(), NodeName{"w5"});
}

TEST_F(WeightOfferTest, refusesARankThatIsNotThereAnyMoreAndAModelThatIsGone) {
  struct Case {
    const char* name;
    std::string at;
    RankRef rank;
    RefusalCode code;
  };
  RankRef old = cluster.rankOf("chat", 0, 0);
  old.generation = {99};
  RankRef beyond = cluster.rankOf("chat", 0, 0);
  beyond.rank = {7};
  for (const auto& c :
       {Case{"another generation", "w1", old, RefusalCode::STALE_ORDER},
        Case{"another node", "w3", cluster.rankOf("chat", 0, 0), RefusalCode::STALE_ORDER},
        Case{"a rank beyond the plan", "w1", beyond, RefusalCode::STALE_ORDER}}) {
    SCOPED_TRACE(c.name);
    auto refused = offerWeights(cluster.state, {c.at}, c.rank, names(ALL));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.refusal().code, c.code);
  }
  cluster.state.models.at(source).digest = "d2";
  auto gone = offerWeights(cluster.state, {"w1"}, cluster.rankOf("chat", 0, 0), names(ALL));
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.refusal().code, RefusalCode::MODEL_NOT_FOUND);
}

}  // namespace
}  // namespace muster::coordinator::weight_offer_test
