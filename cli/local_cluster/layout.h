// Where everything of a local cluster lies, below one directory.
#pragma once

#include <string>

namespace muster::cli {

struct LocalLayout {
  std::string root;  // absolute

  std::string planFile() const { return root + "/local.json"; }
  std::string clusterFile() const { return root + "/cluster.json"; }
  std::string contextFile() const { return root + "/context.toml"; }
  std::string pki() const { return root + "/pki"; }
  std::string digestFile() const { return root + "/secrets/zookeeper-digest"; }
  std::string defaultModels() const { return root + "/models"; }
  std::string logs() const { return root + "/logs"; }
  std::string logOf(const std::string& id) const { return logs() + "/" + id + ".log"; }
  std::string runFolder() const { return root + "/run"; }
  std::string supervisorSocket() const { return runFolder() + "/supervisor"; }
  // Data and configuration of one process.
  std::string folderOf(const std::string& id) const { return root + "/" + id; }
  std::string configOf(const std::string& id, const std::string& role) const {
    return folderOf(id) + "/" + role + ".toml";
  }
};

}  // namespace muster::cli
