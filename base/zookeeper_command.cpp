#include "base/zookeeper_command.h"

#include <array>
#include <filesystem>

namespace muster {
namespace {

struct Jar {
  const char* file;
  const char* package;
};
// zookeeper.jar's manifest names the others it needs; without slf4j-simple.jar the server logs
// nowhere.
constexpr std::array<Jar, 2> JARS = {
    Jar{"zookeeper.jar", "libzookeeper-java"},
    Jar{"slf4j-simple.jar", "libslf4j-java"},
};

std::string setting(const std::string& name, const std::string& value) {
  return name + "=" + value + "\n";
}

}  // namespace

std::string zookeeperConfig(const ZookeeperServerOptions& options) {
  const ZookeeperMember& self = options.members.at(options.self);
  std::string text =
      setting("tickTime", std::to_string(options.tick.millis())) +
      setting("dataDir", options.directory + "/data") +
      setting("clientPort", std::to_string(self.clientPort)) +
      setting("clientPortAddress", self.host) + setting("admin.enableServer", "false") +
      setting("4lw.commands.whitelist", std::string("ruok,mntr,srvr,stat,conf,") +
                                            (options.tellsHeap ? "envi," : "") + "cons,wchs") +
      setting("maxClientCnxns", "0") +
      // Hourly, so that old snapshots and logs do not fill the disk.
      setting("autopurge.purgeInterval", "1") + setting("autopurge.snapRetainCount", "3");
  if (options.members.size() < 2) return text;
  text += setting("initLimit", "20") + setting("syncLimit", "4");
  for (size_t i = 0; i < options.members.size(); i++) {
    const ZookeeperMember& member = options.members[i];
    text += setting("server." + std::to_string(i + 1), member.host + ":" +
                                                           std::to_string(member.quorumPort) + ":" +
                                                           std::to_string(member.electionPort));
  }
  return text;
}

std::string zookeeperMyId(const ZookeeperServerOptions& options) {
  return options.members.size() < 2 ? "" : std::to_string(options.self + 1) + "\n";
}

Result<std::string> findZookeeperJars(const std::string& javaDirectory) {
  std::string classPath;
  for (const Jar& jar : JARS) {
    std::string path = javaDirectory + "/" + jar.file;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      return Refusal{RefusalCode::NOT_FOUND,
                     path + " is missing: ZooKeeper's server cannot be started",
                     {},
                     {std::string("apt-get install ") + jar.package}};
    }
    classPath += (classPath.empty() ? "" : ":") + path;
  }
  return classPath;
}

std::vector<std::string> zookeeperCommand(const ZookeeperServerOptions& options,
                                          const std::string& classPath) {
  std::vector<std::string> argv = {"java",
                                   "-Xmx" + std::to_string(options.heapMax.count >> 20) + "m",
                                   "-Xms64m", "-XX:+UseSerialGC"};
  if (options.startUp == ZookeeperStartUp::QUICK) argv.push_back("-XX:TieredStopAtLevel=1");
  argv.insert(argv.end(),
              {"-Djava.net.preferIPv4Stack=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
               "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
               options.directory + "/zoo.cfg"});
  return argv;
}

}  // namespace muster
