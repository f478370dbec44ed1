#include "cli/local_cluster/cluster_file.h"

#include "base/files.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace muster::cli {

using nlohmann::ordered_json;

std::string toJson(const ClusterFile& file) {
  ordered_json processes = ordered_json::array();
  for (const auto& one : file.processes) {
    ordered_json addresses = ordered_json::object();
    for (const auto& [kind, address] : one.addresses) addresses[kind] = address;
    processes.push_back({{"role", one.role},
                         {"id", one.id},
                         {"pid", one.process.pid},
                         {"start_time", one.process.startTicks},
                         {"addresses", addresses},
                         {"log", one.log}});
  }
  ordered_json out = {{"version", 1},
                      {"cluster", file.cluster},
                      {"zookeeper", file.zookeeper},
                      {"processes", processes}};
  return out.dump(2) + "\n";
}

Result<ClusterFile> parseClusterFile(const std::string& text) {
  try {
    auto in = nlohmann::json::parse(text);
    ClusterFile file{.cluster = in.at("cluster"), .zookeeper = in.at("zookeeper"), .processes = {}};
    for (const auto& one : in.at("processes")) {
      file.processes.push_back({.role = one.at("role"),
                                .id = one.at("id"),
                                .process = {one.at("pid"), one.at("start_time")},
                                .addresses = one.at("addresses"),
                                .log = one.at("log")});
    }
    return file;
  } catch (const nlohmann::json::exception& error) {
    return Refusal{RefusalCode::INVALID_SYNTAX,
                   std::string("cluster.json is not what `muster up` wrote: ") + error.what()};
  }
}

bool isRunning(const LocalProcess& process) {
  auto stat = readProcessStat(process.process.pid);
  return stat && stat->startTicks == process.process.startTicks && stat->state != 'Z';
}

bool anyRuns(const ClusterFile& file) {
  return std::any_of(file.processes.begin(), file.processes.end(), isRunning);
}

Result<std::optional<ClusterFile>> loadClusterFile(const std::string& path) {
  constexpr Bytes BYTES_MAX = 1_MiB;
  auto text = readFile(path, BYTES_MAX);
  if (!text && text.refusal().code == RefusalCode::NOT_FOUND) return std::optional<ClusterFile>();
  if (!text) return text.refusal();
  auto file = parseClusterFile(*text);
  if (!file) return file.refusal();
  return std::optional(*file);
}

}  // namespace muster::cli
