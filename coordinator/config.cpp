#include "coordinator/config.h"

#include "protocol/names.h"

namespace muster::coordinator {
namespace {

ConfigKey peerTable() {
  ConfigKey peers = configKey("peers", ConfigType::TABLE_LIST, std::nullopt,
                              "All coordinators of the cluster, this one too.");
  peers.columns = {configKey("id", ConfigType::STRING, std::nullopt, "Its `id`."),
                   configKey("address", ConfigType::STRING, std::nullopt, "Its `rpc.advertised`.")};
  return peers;
}

std::vector<ConfigKey> snapshotKeys() {
  using enum ConfigType;
  std::vector<ConfigKey> keys = {
      configKey("snapshot.batches", INTEGER, "10000",
                "A snapshot is due when the log has grown by so many batches since the last one"),
      configKey("snapshot.log_bytes", BYTES, "32MiB", "or by this much."),
      configKey("snapshot.rate", BYTES, "8MiB",
                "How much of a snapshot is written, and then read back, in a second."),
      configKey("snapshot.kept_batches", INTEGER, "1000",
                "How many batches of the log stay before the newest snapshot, for coordinators "
                "that are a little behind."),
      configKey("snapshot.kept_events", INTEGER, "1000000",
                "Events and audit rows of so many newest commands are kept on disk."),
  };
  for (ConfigKey& key : keys) {
    if (key.type == INTEGER) key.least = 1;
  }
  return keys;
}

ConfigSchema makeSchema() {
  using enum ConfigType;
  ConfigSchema schema{"coordinator.toml", "What a `muster-coordinator` reads.", {}};
  schema.keys = {
      configKey("cluster", STRING, std::nullopt,
                "Name of the cluster; its ZooKeeper tree is `/muster-CLUSTER`."),
      configKey("id", STRING, std::nullopt, "Name of this coordinator; its certificate's name."),
      configKey("data_dir", STRING, "/var/lib/muster", "Folder of the store."),
      configKey("zookeeper.servers", STRING_LIST, std::nullopt,
                "The ensemble, as IP address and port."),
      configKey("zookeeper.digest_file", STRING, std::nullopt,
                "File with `user:password`, the identity that owns every node of the tree."),
      configKey(
          "zookeeper.session_timeout", DURATION, "1s",
          "How long after its end a leader is taken for dead. The service rounds it up to ticks."),
      configKey("zookeeper.heap", BYTES, "0MiB",
                "Heap of each ZooKeeper server. 0: the servers are asked by `envi`, if they may "
                "answer it. Too little for the log and the snapshots is refused at start."),
      configChoice(
          "failover.guess", "on", {"on", "off"},
          "Whether a leader that broke its connections, fell silent or is cut off from ZooKeeper "
          "is replaced before its session ends. Off: only then."),
      configKey("schema.raise_after", DURATION, "5m",
                "How long all `peers` must have understood a higher schema level before the "
                "cluster takes it. Until then a downgrade works."),
      configKey("rpc.listen", STRING, "0.0.0.0:7401",
                "Where workers, clients and coordinators connect."),
      configKey(
          "rpc.advertised", STRING, "",
          "How others reach `rpc.listen`. Empty: as `peers` says for this `id`, or as it listens."),
      configKey("http.listen", STRING, "",
                "Where the HTTP API and the metrics are. Empty: nowhere."),
      configKey("tls.ca", STRING, "/etc/muster/pki/ca.crt", "Whom to trust."),
      configKey("tls.certificate", STRING, "/etc/muster/pki/coordinator.crt",
                "Ours: `coordinator/ID`."),
      configKey("tls.key", STRING, "/etc/muster/pki/coordinator.key", "Its private key."),
      peerTable(),
      configChoice("log.format", "text", {"text", "json"}, "Of the lines on stderr."),
      configChoice("log.level", "info", {"debug", "info", "warn", "error"},
                   "The least that is logged."),
  };
  auto snapshots = snapshotKeys();
  schema.keys.insert(schema.keys.end(), snapshots.begin(), snapshots.end());
  return schema;
}

Result<Done> checkNames(const CoordinatorConfig& config) {
  auto cluster = checkName(config.cluster.value, NameKind::CLUSTER);
  if (!cluster) return cluster.refusal();
  for (const PeerAddress& peer : config.peers) {
    auto name = checkName(peer.id.value, NameKind::COORDINATOR);
    if (!name) return name.refusal();
  }
  return checkName(config.id.value, NameKind::COORDINATOR);
}

// How others reach us: as said, or as the list of peers says.
Result<std::string> advertisedAddress(const CoordinatorConfig& config) {
  if (!config.rpcAdvertised.empty()) return config.rpcAdvertised;
  for (const PeerAddress& peer : config.peers) {
    if (peer.id == config.id) return peer.address;
  }
  if (!config.rpcListen.starts_with("0.0.0.0:")) return std::string();
  return Refusal{.code = RefusalCode::MISSING_FIELD,
                 .text = "rpc.listen is " + config.rpcListen + ", which nobody can connect to: " +
                         "give rpc.advertised, or list " + config.id.value + " in peers"};
}

}  // namespace

const ConfigSchema& coordinatorSchema() {
  static const ConfigSchema SCHEMA = makeSchema();
  return SCHEMA;
}

Result<CoordinatorConfig> coordinatorConfig(const ConfigTable& table) {
  CoordinatorConfig config;
  config.cluster = {table.text("cluster")};
  config.id = {table.text("id")};
  config.dataDirectory = table.text("data_dir");
  config.zookeeperServers = table.list("zookeeper.servers");
  config.zookeeperDigestFile = table.text("zookeeper.digest_file");
  config.sessionTimeout = table.duration("zookeeper.session_timeout");
  config.zookeeperHeap = table.bytes("zookeeper.heap");
  config.rpcListen = table.text("rpc.listen");
  config.rpcAdvertised = table.text("rpc.advertised");
  config.httpListen = table.text("http.listen");
  config.tls = {table.text("tls.ca"), table.text("tls.certificate"), table.text("tls.key")};
  for (const ConfigTable& peer : table.tables("peers")) {
    config.peers.push_back({CoordinatorId{peer.text("id")}, peer.text("address")});
  }
  config.snapshots = {static_cast<uint64_t>(table.integer("snapshot.batches")),
                      table.bytes("snapshot.log_bytes"), table.bytes("snapshot.rate"),
                      static_cast<uint64_t>(table.integer("snapshot.kept_batches")),
                      static_cast<uint64_t>(table.integer("snapshot.kept_events"))};
  config.raiseSchemaAfter = table.duration("schema.raise_after");
  config.guessDeath = table.text("failover.guess") == "on";
  config.logLevel = *parseLogLevel(table.text("log.level"));
  config.logFormat = *parseLogFormat(table.text("log.format"));
  auto names = checkNames(config);
  if (!names) return names.refusal();
  auto advertised = advertisedAddress(config);
  if (!advertised) return advertised.refusal();
  config.rpcAdvertised = *advertised;
  return config;
}

}  // namespace muster::coordinator
