#include "sharding/explain.h"

#include "tests/sharding/cluster_builder.h"
#include "tests/sharding/model_builder.h"
#include "tests/support/golden.h"

#include <gtest/gtest.h>

namespace muster::sharding::explain_test {
namespace {

using test::cluster;
using test::deployment;
using test::node;

std::string explainOutcome(const DeploymentSpec& spec, const ClusterView& view,
                           const char* config = "llama-3.1-8b") {
  auto outcome = planReplica(spec, test::manifestOf(test::readConfig(config)), view, {});
  return std::visit([](const auto& answer) { return explain(answer); }, outcome);
}

ClusterView busyCluster() {
  return cluster(
      node("gpu01").devices(2, 80_GiB, "H100").use(0, "ranker", 80_GiB).use(1, "ranker", 80_GiB),
      node("gpu02").devices(2, 80_GiB, "H100").use(0, "ranker", 80_GiB).use(1, "ranker", 80_GiB),
      node("gpu03").devices(2, 80_GiB, "H100"),
      node("gpu04").devices(2, 80_GiB, "H100").use(1, "tests", 80_GiB),
      node("gpu05").devices(4, 48_GiB, "L40S"), node("gpu06").devices(4, 48_GiB, "L40S"),
      node("gpu09").devices(2, 80_GiB, "H100").closed("cordoned", "by anna: \"XID 79 on GPU 3\""));
}

TEST(Explain, saysWhyACutWasChosen) {
  auto view = cluster(node("w1").devices(2, 6_GiB), node("w2").devices(2, 6_GiB));
  testing::expectGolden("sharding/golden/planned.txt", explainOutcome(deployment(), view));
}

TEST(Explain, namesWhoFillsTheNodes) {
  auto spec = deployment();
  spec.gpu.types = {"H100"};
  spec.parallel = {2, 2};
  testing::expectGolden("sharding/golden/waiting.txt", explainOutcome(spec, busyCluster()));
}

TEST(Explain, tellsTheSmallestChangeWhenAModelIsTooLarge) {
  auto view = cluster(node("w1").devices(2, 6_GiB));
  testing::expectGolden("sharding/golden/too_large.txt", explainOutcome(deployment(), view));
}

TEST(Explain, listsWhatIsThereWhenNothingMatches) {
  auto spec = deployment();
  spec.gpu.types = {"A100"};
  testing::expectGolden("sharding/golden/no_match.txt", explainOutcome(spec, busyCluster()));
}

TEST(Explain, namesTheRuleThatIsInTheWay) {
  auto spec = deployment();
  spec.placement.tpWithinNode = true;
  spec.parallel = {4, 1};
  auto view = cluster(node("w1").devices(2, 6_GiB), node("w2").devices(2, 6_GiB));
  testing::expectGolden("sharding/golden/topology.txt", explainOutcome(spec, view));
}

}  // namespace
}  // namespace muster::sharding::explain_test
