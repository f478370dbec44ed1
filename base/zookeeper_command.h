// How a ZooKeeper server of Debian's packages is started as a plain child process: its command line
// and its zoo.cfg. Text only; starting it is the caller's business (`muster up`, tests).
#pragma once

#include "base/result.h"
#include "base/units.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster {

struct ZookeeperMember {
  std::string host;  // an IP address
  uint16_t clientPort = 0;
  uint16_t quorumPort = 0;  // both 0 for a server of its own
  uint16_t electionPort = 0;
};

enum class ZookeeperStartUp {
  NORMAL,
  QUICK,  // Java's first compiler only: starts sooner, serves slower
};

struct ZookeeperServerOptions {
  std::string directory;                 // holds zoo.cfg and data/; absolute
  std::vector<ZookeeperMember> members;  // one: standalone; three or more: an ensemble
  size_t self = 0;                       // index into `members`
  Duration tick = 500_ms;                // sessions last 2 to 20 ticks
  Bytes heapMax = 512_MiB;               // coordinators ask for it and refuse to start with less
                                         // than they need
  bool tellsHeap = true;                 // whether it answers that question (`envi`)
  ZookeeperStartUp startUp = ZookeeperStartUp::NORMAL;
};

// Text of `directory`/zoo.cfg. The admin port is off, and connections are not counted per address.
std::string zookeeperConfig(const ZookeeperServerOptions& options);

// Text of `directory`/data/myid. Empty for a server of its own, which refuses to start when that
// file exists.
std::string zookeeperMyId(const ZookeeperServerOptions& options);

// The Java class path out of `javaDirectory`. Refuses NOT_FOUND and names the package when a jar is
// missing.
Result<std::string> findZookeeperJars(const std::string& javaDirectory = "/usr/share/java");

// argv of the server; argv[0] is to be found by PATH.
std::vector<std::string> zookeeperCommand(const ZookeeperServerOptions& options,
                                          const std::string& classPath);

}  // namespace muster
