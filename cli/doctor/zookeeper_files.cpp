#include "cli/doctor/zookeeper_files.h"

#include "base/files.h"

#include <kj/exception.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

namespace muster::cli {
namespace {

constexpr const char* SERVER_CLASS = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
constexpr Bytes FILE_LIMIT = 1_MiB;
// ZooKeeper's own default. A command has up to 512 KiB, which must fit with what is round it.
constexpr int64_t JUTE_BYTES_LEAST = 1'048'575;

std::string trimmed(const std::string& text) {
  auto from = text.find_first_not_of(" \t\r");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

std::map<std::string, std::string> propertiesIn(const std::string& text) {
  std::map<std::string, std::string> properties;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line = trimmed(line);
    auto at = line.find('=');
    if (line.starts_with('#') || at == std::string::npos) continue;
    properties[trimmed(line.substr(0, at))] = trimmed(line.substr(at + 1));
  }
  return properties;
}

std::optional<int64_t> wholeNumber(const std::string& text) {
  int64_t value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

// Of zoo.cfg, or of the command line as -Dzookeeper.NAME=VALUE; empty when neither says it.
class Settings {
 public:
  explicit Settings(const ZookeeperProcess& process) : properties_(propertiesIn(process.text)) {
    for (const auto& argument : process.arguments) {
      auto at = argument.find('=');
      if (argument.starts_with("-D") && at != std::string::npos) {
        flags_[argument.substr(2, at - 2)] = argument.substr(at + 1);
      }
    }
  }

  std::string of(const std::string& name) const {
    auto property = properties_.find(name);
    return property != properties_.end() ? property->second : flag("zookeeper." + name);
  }
  std::string flag(const std::string& name) const {
    auto at = flags_.find(name);
    return at == flags_.end() ? "" : at->second;
  }

 private:
  std::map<std::string, std::string> properties_;
  std::map<std::string, std::string> flags_;
};

std::string restartAfter(const std::string& what, const std::string& file) {
  return what + " in " + file +
         ", then restart that server (as a unit: systemctl restart muster-zookeeper)";
}

std::optional<std::string> tooSmallJute(const Settings& settings) {
  auto most = wholeNumber(settings.flag("jute.maxbuffer"));
  if (!most || *most >= JUTE_BYTES_LEAST) return std::nullopt;
  return "takes requests of " + std::to_string(*most) +
         " bytes (jute.maxbuffer); Muster's need up to " + std::to_string(JUTE_BYTES_LEAST);
}

std::vector<std::string> processIds(const std::string& processes) {
  std::vector<std::string> ids;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(processes, ignored)) {
    std::string name = entry.path().filename().string();
    if (wholeNumber(name)) ids.push_back(name);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::string> argumentsOf(const std::string& process) {
  std::ifstream file(process + "/cmdline");
  std::vector<std::string> arguments;
  for (std::string one; std::getline(file, one, '\0');) arguments.push_back(one);
  return arguments;
}

// Nothing for a file that is away or not ours to read.
std::optional<std::string> textOf(const std::string& path) {
  std::optional<std::string> text;
  kj::runCatchingExceptions([&] {
    auto read = readFile(path, FILE_LIMIT);
    if (read) text = *read;
  });
  return text;
}

}  // namespace

Checks checkZookeeperFile(const ZookeeperProcess& process) {
  Settings settings(process);
  Checks checks;
  auto found = [&](Verdict verdict, std::string text, std::string fix) {
    checks.push_back({verdict, "zookeeper settings", std::move(text), std::move(fix)});
  };
  if (settings.of("forceSync") == "no") {
    found(Verdict::FAILED,
          "acknowledges what is not on the disk (forceSync=no): a power cut loses changes",
          restartAfter("remove forceSync=no", process.file));
  }
  if (settings.of("skipACL") == "yes") {
    found(Verdict::FAILED, "lets everybody write the cluster's tree (skipACL=yes)",
          restartAfter("remove skipACL=yes", process.file));
  }
  if (auto text = tooSmallJute(settings)) {
    found(Verdict::FAILED, *text, "start the server without -Djute.maxbuffer");
  }
  if (wholeNumber(settings.of("autopurge.purgeInterval")).value_or(0) <= 0) {
    found(Verdict::WARNING,
          "keeps all its old snapshots and logs (autopurge.purgeInterval), until " +
              settings.of("dataDir") + " is full",
          restartAfter("autopurge.purgeInterval=1 and autopurge.snapRetainCount=3", process.file));
  }
  if (!checks.empty()) return checks;
  return {{Verdict::OK, "zookeeper settings", "of " + process.file + " are as wanted", ""}};
}

std::string clientAddress(const ZookeeperProcess& process) {
  Settings settings(process);
  auto port = wholeNumber(settings.of("clientPort"));
  if (!port || *port <= 0) return "";
  std::string address = settings.of("clientPortAddress");
  bool any = address.empty() || address == "0.0.0.0" || address == "::";
  return (any ? "127.0.0.1" : address) + ":" + std::to_string(*port);
}

std::vector<ZookeeperProcess> zookeepersHere(const std::string& processes) {
  std::vector<ZookeeperProcess> found;
  for (const auto& id : processIds(processes)) {
    std::string folder = processes;
    folder += "/" + id;
    ZookeeperProcess process{argumentsOf(folder), "", ""};
    auto server = std::find(process.arguments.begin(), process.arguments.end(), SERVER_CLASS);
    if (server == process.arguments.end() || std::next(server) == process.arguments.end()) continue;
    process.file = *std::next(server);
    bool absolute = process.file.starts_with('/');
    auto text = textOf(absolute ? process.file : folder + "/cwd/" + process.file);
    if (!text) continue;
    process.text = *text;
    found.push_back(std::move(process));
  }
  return found;
}

}  // namespace muster::cli
