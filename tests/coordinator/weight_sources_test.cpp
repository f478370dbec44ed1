// What a rank is told of the workers that are attached: their ports, and their checksums.
#include "coordinator/weight_sources.h"

#include "base/clock.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::weight_sources_test {
namespace {

using ::testing::IsEmpty;
using testing::node;
using testing::spec;

struct SilentAgent final : schema::Agent::Server {
  virtual ~SilentAgent() noexcept(false) = default;
};

// chat/0 and chat/1 have one rank each, on w1 and w2; that of chat/1 is Ready.
class WeightSourcesTest : public ::testing::Test {
 protected:
  WeightSourcesTest() : waitScope_(loop_) {}
  ~WeightSourcesTest() noexcept override {}

  void SetUp() override {
    for (const char* name : {"w1", "w2"}) cluster_.addNode(node(name).cpus(1, 4_GiB));
    auto wanted = spec("chat").devices(1).native().replicas(2);
    cluster_.applyRaw(ModelRecorded{{.source = wanted.get().model.source, .digest = "d1"}});
    cluster_.applyRaw(DeploymentApplied{wanted.get(), cluster_.state.nextUid, {}});
    for (uint32_t i = 0; i < 2; ++i) {
      ReplicaPlaced placed{.deployment = cluster_.deployment("chat").uid,
                           .replica = {i},
                           .generation = {i + 1},
                           .revision = cluster_.deployment("chat").revision,
                           .plan = {.stageFirstLayer = {0}}};
      placed.placement.ranks = {{{0}, {"w" + std::to_string(i + 1)}, {{0}}, 1_GiB}};
      ASSERT_EQ(cluster_.applyRaw(placed).rejected, std::nullopt);
    }
    RankRef ready = cluster_.rankOf("chat", 1, 0);
    cluster_.state.deployments.at(ready.deployment)
        .replicas.at(ready.replica)
        .current->ranks[0]
        .phase = ReplicaPhase::READY;
  }
  void attach(const std::string& name, const std::string& weightAddress,
              std::vector<RankReport> ranks = {}) {
    WorkerHello hello;
    hello.node.name = {name};
    hello.weightAddress = weightAddress;
    hello.ranks = std::move(ranks);
    registry_.attach(hello, kj::heap<SilentAgent>(), ++connection_);
  }
  Result<WeightSources> ask() {
    return weightSourcesOf(cluster_.state, registry_, {"w1"}, cluster_.rankOf("chat", 0, 0));
  }

  kj::EventLoop loop_;
  kj::WaitScope waitScope_;
  CoreCluster cluster_;
  SystemClock clock_;
  WorkerRegistry registry_{clock_};
  RpcConnectionId connection_ = 0;
};

TEST_F(WeightSourcesTest, namesThePortAndTheChecksumsOfTheSameSlices) {
  attach("w1", "10.0.0.1:7411");
  RankReport twin{.ref = cluster_.rankOf("chat", 1, 0)};
  twin.slices = {{.tensor = "norm", .checksum = "00000000000000aa"}};
  RankReport other{.ref = {{99}, {0}, {1}, {0}}};
  other.slices = {{.tensor = "norm", .checksum = "ffffffffffffffff"}};
  attach("w2", "10.0.0.2:7411", {other, twin});
  auto told = ask();
  ASSERT_TRUE(told.ok()) << told.refusal().text;
  EXPECT_EQ(told->manifest.digest, "d1");
  EXPECT_EQ(told->peers, (std::vector<WeightPeer>{{{"w2"}, "10.0.0.2:7411"}}));
  EXPECT_EQ(told->checksums, (std::map<std::string, std::string>{{"norm", "00000000000000aa"}}));
}

TEST_F(WeightSourcesTest, aNodeThatIsNotAttachedOrServesNothingIsNotNamed) {
  auto told = ask();
  ASSERT_TRUE(told.ok());
  EXPECT_THAT(told->peers, IsEmpty());
  attach("w2", "");
  told = ask();
  EXPECT_THAT(told->peers, IsEmpty());
  EXPECT_THAT(told->checksums, IsEmpty()) << "it has told none";
}

}  // namespace
}  // namespace muster::coordinator::weight_sources_test
