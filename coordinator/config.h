// coordinator.toml: its keys, and their values as the coordinator wants them.
#pragma once

#include "base/config.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/tls_transport.h"
#include "coordinator/environment.h"

#include <string>
#include <vector>

namespace muster::coordinator {

struct CoordinatorConfig {
  ClusterName cluster;
  CoordinatorId id;
  std::string dataDirectory;
  std::vector<std::string> zookeeperServers;
  std::string zookeeperDigestFile;
  Duration sessionTimeout;
  Bytes zookeeperHeap;  // of each server; 0: they are asked
  std::string rpcListen;
  std::string rpcAdvertised;  // empty: where it listens
  std::string httpListen;     // empty: no HTTP port
  std::vector<PeerAddress> peers;
  Duration raiseSchemaAfter;
  bool guessDeath = true;
  SnapshotOptions snapshots;
  TlsFiles tls;
  LogLevel logLevel = LogLevel::INFO;
  LogFormat logFormat = LogFormat::TEXT;

  std::string storeDirectory() const { return dataDirectory + "/store"; }
};

const ConfigSchema& coordinatorSchema();

// Refuses what the schema refuses, and names that are none.
Result<CoordinatorConfig> coordinatorConfig(const ConfigTable& table);

}  // namespace muster::coordinator
