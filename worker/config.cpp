#include "worker/config.h"

#include "protocol/names.h"

#include <strings.h>

#include <algorithm>
#include <arpa/inet.h>
#include <utility>

namespace muster::worker {
namespace {

constexpr const char* CPU = "cpu";

ConfigKey deviceTable() {
  ConfigKey devices = configKey("devices", ConfigType::TABLE_LIST, std::nullopt,
                                "The devices of the node, numbered from 0 in this order. None: the "
                                "GPUs that NVIDIA's driver shows.");
  ConfigKey island = configKey("island", ConfigType::INTEGER, "0",
                               "Devices of one island reach each other fastest.");
  island.least = 0;
  island.most = 1'000'000;
  devices.columns = {
      configKey("type", ConfigType::STRING, CPU,
                "`cpu`, or the name of a GPU: `MI300X`. Engines are told a GPU's number as "
                "`CUDA_VISIBLE_DEVICES`."),
      configKey("memory", ConfigType::BYTES, std::nullopt, "How much of it ranks may use."),
      std::move(island)};
  return devices;
}

ConfigSchema makeSchema() {
  using enum ConfigType;
  ConfigSchema schema{"worker.toml", "What a `muster-worker` reads.", {}};
  schema.keys = {
      configKey("cluster", STRING, std::nullopt, "Name of the cluster."),
      configKey("node", STRING, std::nullopt, "Name of this node; its certificate's name."),
      configKey("coordinators", STRING_LIST, std::nullopt,
                "RPC addresses of all coordinators, as `HOST:PORT`."),
      configKey("address", STRING, std::nullopt,
                "IP address other nodes' ranks reach this node by."),
      configKey("data_dir", STRING, "/var/lib/muster/worker",
                "Folder of the stored order, of the ranks and of their logs."),
      configKey("rack", STRING, "", "Fault domain above the node."),
      configKey("labels", STRING_LIST, "", "Labels of the node, each `KEY=VALUE`."),
      deviceTable(),
      configKey(
          "model_roots", STRING_LIST, "",
          "Absolute paths of folders; a `file:` model must lie below one after resolving links."),
      configKey(
          "rank_binary", STRING, "",
          "The program of native ranks and of the TLS before others. Empty: `muster-rank` beside "
          "`muster-worker`."),
      configKey("http.listen", STRING, "", "Where `/metrics` and `/healthz` are. Empty: nowhere."),
      configKey("weights.listen", STRING, "",
                "Where ranks of nodes without a model's files read them from this node's, by "
                "convention port 7411. Empty: nowhere."),
      configKey(
          "weights.cache", STRING, "",
          "Absolute path of a folder where slices that came from other nodes are kept for the "
          "next rank. On a tmpfs, such as below `/dev/shm`, it is the host's memory, which "
          "plans know nothing of. Empty: nothing is kept."),
      configKey("weights.cache_max", BYTES, "16GiB",
                "How much is kept there; what was used longest ago goes."),
      configKey("tls.ca", STRING, "/etc/muster/pki/ca.crt", "Whom to trust."),
      configKey("tls.certificate", STRING, "/etc/muster/pki/worker.crt", "Ours: `worker/NODE`."),
      configKey("tls.key", STRING, "/etc/muster/pki/worker.key", "Its private key."),
      configChoice("log.format", "text", {"text", "json"}, "Of the lines on stderr."),
      configChoice("log.level", "info", {"debug", "info", "warn", "error"},
                   "The least that is logged."),
  };
  return schema;
}

// Gathers everything that is wrong, so that one look repairs it.
class Errors {
 public:
  void add(const std::string& path, std::string message, std::string hint = "") {
    errors_.push_back({.code = RefusalCode::INVALID_VALUE,
                       .path = path,
                       .message = std::move(message),
                       .hint = std::move(hint)});
  }
  void checkName(const std::string& path, const std::string& name, NameKind kind) {
    auto checked = muster::checkName(name, kind);
    if (!checked) add(path, checked.refusal().text);
  }
  bool none() const { return errors_.empty(); }
  Refusal refusal() && {
    std::string text = errors_.front().message;
    return {.code = RefusalCode::INVALID_VALUE, .text = text, .errors = std::move(errors_)};
  }

 private:
  std::vector<InputError> errors_;
};

bool isIpAddress(const std::string& text) {
  in6_addr ignored{};
  return inet_pton(AF_INET, text.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

bool hasPort(const std::string& address) {
  auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  std::string port = address.substr(colon + 1);
  return !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoul(port) >= 1 && std::stoul(port) <= 65535;
}

// A GPU's name goes into deployments (`gpu: {type: [..]}`), metrics and uuids.
bool isDeviceType(const std::string& type) {
  auto isLetter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  bool isOtherCpu = type.size() == 3 && strcasecmp(type.c_str(), CPU) == 0 && type != CPU;
  return !type.empty() && type.size() <= 48 && std::ranges::all_of(type, isLetter) && !isOtherCpu;
}

std::map<std::string, std::string> readLabels(const ConfigTable& table, Errors& errors) {
  std::map<std::string, std::string> labels;
  for (const std::string& label : table.list("labels")) {
    auto equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      errors.add("labels", "label \"" + label + "\" is not of the form KEY=VALUE");
    } else if (!labels.emplace(label.substr(0, equals), label.substr(equals + 1)).second) {
      errors.add("labels", "label \"" + label.substr(0, equals) + "\" is given twice");
    }
  }
  return labels;
}

std::vector<DeviceInfo> readDevices(const ConfigTable& table, const std::string& node,
                                    Errors& errors) {
  std::vector<DeviceInfo> devices;
  for (const ConfigTable& one : table.tables("devices")) {
    auto index = static_cast<uint32_t>(devices.size());
    DeviceInfo device{.index = {index},
                      .type = one.text("type"),
                      .uuid = node + "-" + one.text("type") + "-" + std::to_string(index),
                      .memory = one.bytes("memory"),
                      .island = static_cast<uint32_t>(one.integer("island"))};
    if (!isDeviceType(device.type)) {
      errors.add("devices[" + std::to_string(index) + "].type",
                 "device type \"" + device.type + "\" is neither cpu nor the name of a GPU",
                 "write type = \"cpu\", or letters, digits and hyphens such as \"MI300X\"");
    }
    if (device.memory == Bytes{}) {
      errors.add("devices[" + std::to_string(index) + "].memory", "a device needs memory");
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

NodeInfo readNode(const ConfigTable& table, Errors& errors) {
  NodeInfo node;
  node.name = {table.text("node")};
  node.address = table.text("address");
  node.rack = table.text("rack");
  node.labels = readLabels(table, errors);
  node.devices = readDevices(table, node.name.value, errors);
  errors.checkName("node", node.name.value, NameKind::NODE);
  if (!isIpAddress(node.address)) {
    errors.add("address", "address \"" + node.address + "\" is no IP address");
  }
  return node;
}

void checkLists(const WorkerConfig& config, Errors& errors) {
  if (config.coordinators.empty()) errors.add("coordinators", "no coordinator is named");
  for (const std::string& address : config.coordinators) {
    if (hasPort(address)) continue;
    errors.add("coordinators", "coordinator \"" + address + "\" is not of the form HOST:PORT");
  }
  for (const std::string& root : config.modelRoots) {
    if (root.starts_with('/')) continue;
    errors.add("model_roots", "model root \"" + root + "\" is not an absolute path");
  }
  if (!config.weightCache.empty() && !config.weightCache.starts_with('/')) {
    errors.add("weights.cache",
               "weights.cache \"" + config.weightCache + "\" is not an absolute path");
  }
}

}  // namespace

const ConfigSchema& workerSchema() {
  static const ConfigSchema SCHEMA = makeSchema();
  return SCHEMA;
}

Result<WorkerConfig> workerConfig(const ConfigTable& table) {
  Errors errors;
  WorkerConfig config;
  config.cluster = {table.text("cluster")};
  config.node = readNode(table, errors);
  config.coordinators = table.list("coordinators");
  config.dataDirectory = table.text("data_dir");
  config.modelRoots = table.list("model_roots");
  config.rankBinary = table.text("rank_binary");
  config.httpListen = table.text("http.listen");
  config.weightListen = table.text("weights.listen");
  config.weightCache = table.text("weights.cache");
  config.weightCacheMax = table.bytes("weights.cache_max");
  config.tls = {table.text("tls.ca"), table.text("tls.certificate"), table.text("tls.key")};
  config.logLevel = *parseLogLevel(table.text("log.level"));
  config.logFormat = *parseLogFormat(table.text("log.format"));
  errors.checkName("cluster", config.cluster.value, NameKind::CLUSTER);
  checkLists(config, errors);
  if (!errors.none()) return std::move(errors).refusal();
  return config;
}

}  // namespace muster::worker
