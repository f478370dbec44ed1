// worker.toml: its keys, and their values as the agent wants them.
#pragma once

#include "base/config.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/tls_transport.h"
#include "protocol/node.h"

#include <string>
#include <vector>

namespace muster::worker {

struct WorkerConfig {
  ClusterName cluster;
  NodeInfo node;  // without the version; without devices when none are declared
  std::vector<std::string> coordinators;
  std::string dataDirectory;
  std::vector<std::string> modelRoots;
  std::string rankBinary;    // empty: muster-rank beside our own executable
  std::string httpListen;    // empty: no HTTP port
  std::string weightListen;  // empty: no other node may read models here
  std::string weightCache;   // folder; empty: nothing from other nodes is kept
  Bytes weightCacheMax;
  TlsFiles tls;
  LogLevel logLevel = LogLevel::INFO;
  LogFormat logFormat = LogFormat::TEXT;

  std::string orderFile() const { return dataDirectory + "/orders"; }
};

const ConfigSchema& workerSchema();

// Refuses what the schema refuses, and values that are none, all at once: names, addresses, labels,
// devices without memory, model roots that are not absolute.
Result<WorkerConfig> workerConfig(const ConfigTable& table);

}  // namespace muster::worker
