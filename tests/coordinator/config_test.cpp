// What coordinator.toml and the command line may say.
#include "coordinator/config.h"

#include "coordinator/options.h"

#include <gtest/gtest.h>

namespace muster::coordinator::config_test {
namespace {

const std::string GOOD = R"(
cluster = "prod"
id = "co1"
[zookeeper]
servers = ["10.0.0.1:2181", "10.0.0.2:2181"]
digest_file = "/etc/muster/digest"
[rpc]
advertised = "10.0.0.1:7401"
)";

Result<CoordinatorConfig> read(const std::string& text) {
  auto table = readConfig(coordinatorSchema(), {.files = {{"coordinator.toml", text}}});
  if (!table) return table.refusal();
  return coordinatorConfig(*table);
}

TEST(CoordinatorConfig, readsAFileAndFillsInTheRest) {
  auto config = read(GOOD);
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->cluster, ClusterName{"prod"});
  EXPECT_EQ(config->zookeeperServers.size(), 2u);
  EXPECT_EQ(config->sessionTimeout, 1_s);
  EXPECT_EQ(config->rpcListen, "0.0.0.0:7401");
  EXPECT_EQ(config->storeDirectory(), "/var/lib/muster/store");
  EXPECT_EQ(config->httpListen, "");
}

TEST(CoordinatorConfig, refusesUnknownKeysBadNamesAndAWildcardNobodyCanReach) {
  EXPECT_EQ(read("colour = \"red\"\n" + GOOD).refusal().errors.at(0).code,
            RefusalCode::UNKNOWN_FIELD);
  std::string badName = GOOD;
  badName.replace(badName.find("co1"), 3, "Co1");
  EXPECT_EQ(read(badName).refusal().code, RefusalCode::INVALID_NAME);
  std::string unreachable = GOOD.substr(0, GOOD.find("[rpc]"));
  EXPECT_EQ(read(unreachable).refusal().code, RefusalCode::MISSING_FIELD);
}

TEST(CoordinatorConfig, takesItsAddressFromThePeers) {
  std::string text =
      GOOD.substr(0, GOOD.find("[rpc]")) + "[[peers]]\nid = \"co1\"\naddress = \"10.0.0.9:7401\"\n";
  auto config = read(text);
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->rpcAdvertised, "10.0.0.9:7401");
}

TEST(CoordinatorOptions, readsActionsFlagsAndKeys) {
  auto options = parseOptions({"--config", "/x.toml", "--log.level=debug", "--check-config"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->configPath, "/x.toml");
  EXPECT_EQ(options->action, Action::CHECK_CONFIG);
  EXPECT_EQ(options->flags.at("log.level"), "debug");
  auto store = parseOptions({"--print-store", "/data"});
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->action, Action::PRINT_STORE);
  EXPECT_EQ(store->storeDirectory, "/data");
}

TEST(CoordinatorOptions, refusesWhatItDoesNotKnow) {
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"--bootstarp"}, {"serve"}, {"--config"}, {"--bootstrap=yes"}, {"--peers", "x"}}) {
    EXPECT_FALSE(parseOptions(wrong).ok()) << wrong[0];
  }
}

}  // namespace
}  // namespace muster::coordinator::config_test
