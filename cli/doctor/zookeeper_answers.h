// What a ZooKeeper server says of itself when it is asked by four-letter words, and what that
// means. Source: ZooKeeper 3.8 Administrator's Guide, "The Four Letter Words".
#pragma once

#include "base/units.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::cli {

// The texts as they came; empty where no answer did.
struct ZookeeperAnswers {
  std::string status;    // to `srvr`
  std::string settings;  // to `conf`
  std::string metrics;   // to `mntr`
};

struct ZookeeperServer {
  std::string address;  // "127.0.0.1:2181"
  bool answers = false;
  std::string mode;     // "leader", "follower", "standalone", ...; empty: none that it tells
  std::string version;  // "3.8.0"
  std::optional<uint64_t> lastChange;           // its newest zxid: epoch and counter, 32 bits each
  std::map<std::string, std::string> settings;  // of `conf`: "tickTime" to "500"
  std::map<std::string, std::string> metrics;   // of `mntr`: "zk_server_state" to "leader"
  std::vector<std::string> untold;              // words that it may not answer

  // False when it is alone without a quorum, or does not answer. True as well when it may not tell.
  bool mayServe() const;
  // Nothing when it was not told or is no number.
  std::optional<double> setting(const std::string& name) const;
  std::optional<double> metric(const std::string& name) const;
  // Voting members that it knows; 0 when it does not tell, or serves for itself.
  size_t members() const;
};

// Pure.
ZookeeperServer readZookeeper(const std::string& address, const ZookeeperAnswers& answers);

// Asks `address`, which is an IP address and port, for all three. Blocks for up to 2 s per word;
// one that does not answer the first is not asked for the others.
ZookeeperAnswers askZookeeper(const std::string& address);

}  // namespace muster::cli
