#include "base/zookeeper_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::zookeeper_command_test {
namespace {

using testing::HasSubstr;
using testing::Not;

ZookeeperServerOptions ensembleOf(size_t count) {
  ZookeeperServerOptions options;
  options.directory = "/srv/zk";
  for (size_t i = 0; i < count; i++) {
    auto port = static_cast<uint16_t>(2000 + 10 * i);
    options.members.push_back(ZookeeperMember{"127.0.0.1", port, static_cast<uint16_t>(port + 1),
                                              static_cast<uint16_t>(port + 2)});
  }
  return options;
}

TEST(ZookeeperCommand, oneServerHasNoQuorumSettings) {
  auto options = ensembleOf(1);
  std::string text = zookeeperConfig(options);
  EXPECT_THAT(text, HasSubstr("tickTime=500\n"));
  EXPECT_THAT(text, HasSubstr("dataDir=/srv/zk/data\n"));
  EXPECT_THAT(text, HasSubstr("clientPort=2000\n"));
  EXPECT_THAT(text, HasSubstr("admin.enableServer=false\n"));
  EXPECT_THAT(text, HasSubstr("autopurge.purgeInterval=1\n"));
  EXPECT_THAT(text, Not(HasSubstr("server.1")));
  EXPECT_EQ(zookeeperMyId(options), "");
}

TEST(ZookeeperCommand, aMemberOfAnEnsembleNamesAllAndItself) {
  auto options = ensembleOf(3);
  options.self = 2;
  std::string text = zookeeperConfig(options);
  EXPECT_THAT(text, HasSubstr("clientPort=2020\n"));
  EXPECT_THAT(text, HasSubstr("server.1=127.0.0.1:2001:2002\n"));
  EXPECT_THAT(text, HasSubstr("server.3=127.0.0.1:2021:2022\n"));
  EXPECT_EQ(zookeeperMyId(options), "3\n");
}

TEST(ZookeeperCommand, theCommandLineEndsWithTheConfiguration) {
  auto argv = zookeeperCommand(ensembleOf(1), "/a.jar:/b.jar");
  EXPECT_EQ(argv.front(), "java");
  EXPECT_EQ(argv.back(), "/srv/zk/zoo.cfg");
  EXPECT_THAT(argv, testing::Contains("-Xmx512m"));
  EXPECT_THAT(argv, testing::Contains("/a.jar:/b.jar"));
}

TEST(ZookeeperCommand, aMissingJarIsRefusedWithItsPackage) {
  auto found = findZookeeperJars("/nowhere");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_THAT(found.refusal().text, HasSubstr("/nowhere/zookeeper.jar"));
  EXPECT_EQ(found.refusal().fixes.front(), "apt-get install libzookeeper-java");
}

}  // namespace
}  // namespace muster::zookeeper_command_test
