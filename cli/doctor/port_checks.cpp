#include "cli/doctor/port_checks.h"

#include "base/config.h"
#include "base/files.h"

#include <kj/exception.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <vector>

namespace muster::cli {
namespace {

constexpr Bytes DAEMON_FILE_LIMIT = 1_MiB;

struct Door {
  const char* key;
  const char* fallback;  // of the key, as in the daemon's own schema
  const char* use;
};

struct Daemon {
  const char* unit;
  const char* file;
  std::vector<Door> doors;
};

std::vector<Daemon> daemons() {
  return {{"muster-coordinator",
           "coordinator.toml",
           {{"http.listen", "", "API"}, {"rpc.listen", "0.0.0.0:7401", "RPC"}}},
          {"muster-gateway", "gateway.toml", {{"http.listen", "0.0.0.0:7402", "requests"}}},
          {"muster-worker",
           "worker.toml",
           {{"http.listen", "", "metrics"}, {"weights.listen", "", "weights for other nodes"}}}};
}

ConfigSchema listenKeys(const Daemon& daemon) {
  ConfigSchema schema{.file = daemon.file, .intro = "", .keys = {}, .others = OtherKeys::IGNORED};
  for (const Door& door : daemon.doors) {
    schema.keys.push_back(configKey(door.key, ConfigType::STRING, door.fallback, "HOST:PORT."));
  }
  return schema;
}

// Nothing for a file that may not be read or is wrong.
std::optional<ConfigTable> tableOf(const Daemon& daemon, const std::string& path) {
  std::optional<ConfigTable> found;
  kj::runCatchingExceptions([&] {
    auto text = readFile(path, DAEMON_FILE_LIMIT);
    if (!text) return;
    auto table = readConfig(listenKeys(daemon), {.files = {{path, *text}}});
    if (table) found = *table;
  });
  return found;
}

// 0 for what names no port of its own.
uint16_t portOf(const std::string& address) {
  std::string digits = address.substr(address.rfind(':') + 1);
  uint16_t port = 0;
  auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return parsed.ec == std::errc() ? port : uint16_t{0};
}

Check checkDoor(const Daemon& daemon, const Door& door, uint16_t port,
                const std::set<uint16_t>& listening) {
  std::string subject = "port " + std::to_string(port);
  std::string use = std::string(" (") + door.use + ")";
  if (listening.count(port) > 0) {
    return {Verdict::OK, subject, std::string(daemon.unit) + " listens" + use, ""};
  }
  return {Verdict::FAILED, subject, std::string(daemon.unit) + " does not listen" + use,
          std::string("systemctl status ") + daemon.unit};
}

Checks checkDaemon(const Daemon& daemon, const std::string& path,
                   const std::set<uint16_t>& listening) {
  auto table = tableOf(daemon, path);
  if (!table) {
    return {{Verdict::WARNING, "ports", path + " cannot be read, so its ports are not checked",
             std::string("sudo muster doctor; ") + daemon.unit + " --config " + path +
                 " --check-config"}};
  }
  Checks checks;
  for (const Door& door : daemon.doors) {
    uint16_t port = portOf(table->text(door.key));
    if (port != 0) checks.push_back(checkDoor(daemon, door, port, listening));
  }
  return checks;
}

}  // namespace

std::set<uint16_t> listeningPorts() {
  std::set<uint16_t> ports;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state;
      words >> number >> local >> remote >> state;
      auto colon = local.rfind(':');
      if (state != "0A" || colon == std::string::npos) continue;
      ports.insert(static_cast<uint16_t>(std::stoul(local.substr(colon + 1), nullptr, 16)));
    }
  }
  return ports;
}

Checks checkPorts(const std::string& configFolder, const std::set<uint16_t>& listening) {
  Checks checks;
  for (const Daemon& daemon : daemons()) {
    std::error_code ignored;
    std::string path = configFolder + "/" + daemon.file;
    if (!std::filesystem::exists(path, ignored)) continue;
    for (Check& check : checkDaemon(daemon, path, listening)) checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace muster::cli
