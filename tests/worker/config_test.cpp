#include "worker/config.h"

#include "worker/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::worker::config_test {
namespace {

const std::string GOOD = R"(
cluster = "prod"
node = "gpu01"
coordinators = ["10.0.0.1:7401", "co2.example:7401", "[::1]:7401"]
address = "10.0.1.1"
rack = "r7"
labels = ["disk=nvme", "zone=a=b"]
model_roots = ["/models"]
[[devices]]
memory = "4GiB"
[[devices]]
type = "cpu"
memory = "2GiB"
island = 1
)";

Result<WorkerConfig> read(const std::string& text, std::map<std::string, std::string> flags = {}) {
  auto table = readConfig(workerSchema(), {.files = {{"worker.toml", text}}, .flags = flags});
  if (!table) return table.refusal();
  return workerConfig(*table);
}

TEST(WorkerConfig, readsANodeWithItsDevices) {
  auto config = read(GOOD);
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->node.name.value, "gpu01");
  EXPECT_EQ(config->node.labels,
            (std::map<std::string, std::string>{{"disk", "nvme"}, {"zone", "a=b"}}));
  std::vector<DeviceInfo> devices = {{{0}, "cpu", "gpu01-cpu-0", 4_GiB, 0},
                                     {{1}, "cpu", "gpu01-cpu-1", 2_GiB, 1}};
  EXPECT_EQ(config->node.devices, devices);
  EXPECT_EQ(config->coordinators.size(), 3u);
  EXPECT_EQ(config->orderFile(), "/var/lib/muster/worker/orders");
  EXPECT_EQ(config->httpListen, "");
  EXPECT_EQ(config->weightListen, "");
  EXPECT_EQ(config->weightCache, "");
}

struct Case {
  const char* name;
  std::map<std::string, std::string> flags;
  const char* message;
};

TEST(WorkerConfig, refusesWhatCannotWork) {
  const Case cases[] = {
      {"a node that is no name", {{"node", "GPU_1"}}, "node name \"GPU_1\""},
      {"a cluster that is no name", {{"cluster", "x/y"}}, "cluster name \"x/y\""},
      {"a host name for the ranks", {{"address", "gpu01.example"}}, "is no IP address"},
      {"no coordinator", {{"coordinators", ""}}, "no coordinator is named"},
      {"a coordinator without port", {{"coordinators", "co1"}}, "not of the form HOST:PORT"},
      {"a port beyond the last", {{"coordinators", "co1:70000"}}, "not of the form HOST:PORT"},
      {"a relative root", {{"model_roots", "models"}}, "not an absolute path"},
      {"a relative cache", {{"weights.cache", "cache"}}, "not an absolute path"},
      {"a label without value", {{"labels", "nvme"}}, "not of the form KEY=VALUE"},
      {"a label given twice", {{"labels", "a=1,a=2"}}, "is given twice"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto config = read(GOOD, c.flags);
    ASSERT_FALSE(config.ok());
    ASSERT_EQ(config.refusal().errors.size(), 1u);
    EXPECT_THAT(config.refusal().errors[0].message, testing::HasSubstr(c.message));
  }
}

TEST(WorkerConfig, tellsAllErrorsAtOnce) {
  auto config = read(GOOD, {{"node", "GPU"}, {"address", "x"}, {"model_roots", "m"}});
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.refusal().errors.size(), 3u);
}

TEST(WorkerConfig, leavesDevicesThatAreNotDeclaredToTheDriver) {
  auto config = read(GOOD.substr(0, GOOD.find("[[devices]]")));
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->node.devices.empty());
  EXPECT_FALSE(read(GOOD + "[[devices]]\nmemory = \"0B\"\n").ok());
}

TEST(WorkerConfig, takesAGpuByItsNameAndNothingThatIsNone) {
  auto withType = [](const std::string& type) {
    return read(GOOD + "[[devices]]\ntype = \"" + type + "\"\nmemory = \"80GiB\"\n");
  };
  auto config = withType("MI300X");
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  DeviceInfo wanted{{2}, "MI300X", "gpu01-MI300X-2", 80_GiB, 0};
  EXPECT_EQ(config->node.devices.back(), wanted);
  for (const char* type : {"CPU", "", "H100 80GB", "a/b"}) {
    SCOPED_TRACE(type);
    auto refused = withType(type);
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.refusal().text, testing::HasSubstr("is neither cpu nor the name of a GPU"));
  }
}

TEST(WorkerOptions, takeFlagsAndKeys) {
  auto options = parseOptions({"--config", "w.toml", "--node=gpu02", "--log.level", "debug"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->configPath, "w.toml");
  EXPECT_EQ(options->flags,
            (std::map<std::string, std::string>{{"node", "gpu02"}, {"log.level", "debug"}}));
  EXPECT_EQ(parseOptions({"--check-config"})->action, Action::CHECK_CONFIG);
  for (auto bad : {"--nodes=x", "serve", "--node", "--devices=x", "-h"}) {
    SCOPED_TRACE(bad);
    EXPECT_FALSE(parseOptions({bad}).ok());
  }
}

}  // namespace
}  // namespace muster::worker::config_test
