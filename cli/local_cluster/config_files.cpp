#include "cli/local_cluster/config_files.h"

#include "base/files.h"
#include "base/pki.h"
#include "base/zookeeper_command.h"

#include <kj/debug.h>

#include <cstdio>
#include <filesystem>
#include <sys/stat.h>

namespace muster::cli {
namespace {

// A TOML basic string.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04X", c);
      out += escape;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

std::string list(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + quoted(text);
  return "[" + out + "]";
}

std::vector<std::string> coordinatorAddresses(const LocalPlan& plan) {
  std::vector<std::string> out;
  for (const auto& one : plan.coordinators) out.push_back(localAddress(one.rpcPort));
  return out;
}

// Where `muster chat` and `muster bench` ask.
std::string gatewayLine(const LocalPlan& plan) {
  if (plan.gateways.empty()) return "";
  return "\ngateway = " + quoted("http://" + localAddress(plan.gateways.front().httpPort));
}

std::string tlsToml(const LocalLayout& layout, const std::string& identity) {
  return "[tls]\nca = " + quoted(layout.pki() + "/ca.crt") +
         "\ncertificate = " + quoted(layout.pki() + "/" + identity + ".crt") +
         "\nkey = " + quoted(layout.pki() + "/" + identity + ".key") + "\n";
}

std::string digest(Random& random) {
  Guid first = random.guid();
  Guid second = random.guid();
  return "muster:" + toText(first) + toText(second) + "\n";
}

void makeFolder(const std::string& path, mode_t mode) {
  std::filesystem::create_directories(path);
  KJ_SYSCALL(::chmod(path.c_str(), mode), path.c_str());
}

void makeFolders(const LocalPlan& plan, const LocalLayout& layout) {
  makeFolder(layout.root, 0755);
  makeFolder(layout.pki(), 0755);
  makeFolder(layout.root + "/secrets", 0700);
  makeFolder(layout.runFolder(), 0700);
  makeFolder(layout.logs(), 0755);
  makeFolder(layout.defaultModels(), 0755);
  for (const auto& one : plan.zookeepers) makeFolder(layout.folderOf(one.id) + "/data", 0700);
  for (const auto& one : plan.coordinators) makeFolder(layout.folderOf(one.id), 0700);
  for (const auto& one : plan.workers) makeFolder(layout.folderOf(one), 0700);
  for (const auto& one : plan.gateways) makeFolder(layout.folderOf(one.id), 0700);
}

void issueCertificates(const LocalPlan& plan, const LocalLayout& layout) {
  createCa(layout.pki(), plan.cluster);
  auto issue = [&](Role role, const std::string& name) {
    issueCertificate(layout.pki(), {.identity = {role, name}, .cluster = plan.cluster},
                     layout.pki());
  };
  for (const auto& one : plan.coordinators) issue(Role::COORDINATOR, one.id);
  for (const auto& one : plan.workers) issue(Role::WORKER, one);
  for (const auto& one : plan.gateways) issue(Role::GATEWAY, one.id);
  issue(Role::ADMIN, "admin");
}

// Every file of the cluster with its content, in the order of writing.
struct FileToWrite {
  std::string path;
  std::string content;
  mode_t mode;
};

std::vector<FileToWrite> filesOf(const LocalPlan& plan, const LocalLayout& layout, Random& random) {
  std::vector<FileToWrite> files{{layout.digestFile(), digest(random), 0600}};
  std::vector<ZookeeperMember> members;
  for (const auto& one : plan.zookeepers) {
    members.push_back({LOCAL_HOST, one.clientPort, one.quorumPort, one.electionPort});
  }
  for (size_t i = 0; i < plan.zookeepers.size(); ++i) {
    std::string folder = layout.folderOf(plan.zookeepers[i].id);
    ZookeeperServerOptions options{.directory = folder, .members = members, .self = i};
    files.push_back({folder + "/zoo.cfg", zookeeperConfig(options), 0644});
    std::string myId = zookeeperMyId(options);
    if (!myId.empty()) files.push_back({folder + "/data/myid", myId, 0644});
  }
  for (size_t i = 0; i < plan.coordinators.size(); ++i) {
    files.push_back({layout.configOf(plan.coordinators[i].id, "coordinator"),
                     coordinatorToml(plan, layout, i), 0644});
  }
  for (size_t i = 0; i < plan.workers.size(); ++i) {
    files.push_back(
        {layout.configOf(plan.workers[i], "worker"), workerToml(plan, layout, i), 0644});
  }
  for (size_t i = 0; i < plan.gateways.size(); ++i) {
    files.push_back(
        {layout.configOf(plan.gateways[i].id, "gateway"), gatewayToml(plan, layout, i), 0644});
  }
  files.push_back({layout.contextFile(), contextToml(plan, layout), 0644});
  files.push_back({layout.planFile(), toJson(plan), 0644});
  return files;
}

}  // namespace

std::vector<std::string> zookeeperAddresses(const LocalPlan& plan) {
  std::vector<std::string> out;
  for (const auto& one : plan.zookeepers) out.push_back(localAddress(one.clientPort));
  return out;
}

std::string coordinatorToml(const LocalPlan& plan, const LocalLayout& layout, size_t which) {
  const auto& self = plan.coordinators.at(which);
  std::string text = "# Written by `muster up`.\ncluster = " + quoted(plan.cluster.value) +
                     "\nid = " + quoted(self.id) +
                     "\ndata_dir = " + quoted(layout.folderOf(self.id)) +
                     "\n\n# All of this cluster is of one version: there is nothing to wait for."
                     "\n[schema]\nraise_after = \"0s\"" +
                     "\n\n[zookeeper]\nservers = " + list(zookeeperAddresses(plan)) +
                     "\ndigest_file = " + quoted(layout.digestFile()) +
                     "\n\n[rpc]\nlisten = " + quoted(localAddress(self.rpcPort)) +
                     "\n\n[http]\nlisten = " + quoted(localAddress(self.httpPort)) + "\n\n" +
                     tlsToml(layout, "coordinator-" + self.id);
  for (const auto& peer : plan.coordinators) {
    text += "\n[[peers]]\nid = " + quoted(peer.id) +
            "\naddress = " + quoted(localAddress(peer.rpcPort)) + "\n";
  }
  return text;
}

std::string workerToml(const LocalPlan& plan, const LocalLayout& layout, size_t which) {
  const auto& id = plan.workers.at(which);
  std::string text = "# Written by `muster up`.\nnode = " + quoted(id) +
                     "\ncluster = " + quoted(plan.cluster.value) +
                     "\ncoordinators = " + list(coordinatorAddresses(plan)) +
                     "\ndata_dir = " + quoted(layout.folderOf(id)) +
                     "\naddress = " + quoted(LOCAL_HOST) + "\nmodel_roots = " + list(plan.models) +
                     "\n\n[weights]\nlisten = " + quoted(localAddress(0)) + "\n\n" +
                     tlsToml(layout, "worker-" + id);
  for (uint32_t i = 0; i < plan.devices; ++i) {
    text += "\n[[devices]]\ntype = " + quoted(plan.deviceType) +
            "\nmemory = " + quoted(toText(plan.deviceMemory)) + "\n";
  }
  return text;
}

std::string gatewayToml(const LocalPlan& plan, const LocalLayout& layout, size_t which) {
  const auto& self = plan.gateways.at(which);
  std::vector<std::string> coordinators;
  for (const auto& one : plan.coordinators) coordinators.push_back(localAddress(one.httpPort));
  return "# Written by `muster up`.\ncluster = " + quoted(plan.cluster.value) +
         "\nid = " + quoted(self.id) + "\ncoordinators = " + list(coordinators) +
         "\ndata_dir = " + quoted(layout.folderOf(self.id)) +
         "\n\n[http]\nlisten = " + quoted(localAddress(self.httpPort)) + "\n\n" +
         tlsToml(layout, "gateway-" + self.id);
}

std::string contextToml(const LocalPlan& plan, const LocalLayout& layout) {
  return "# Written by `muster up`; used by: export MUSTER_CONTEXT=" + layout.contextFile() +
         "\ncluster = " + quoted(plan.cluster.value) +
         "\ncoordinators = " + list(coordinatorAddresses(plan)) + gatewayLine(plan) +
         "\nca = " + quoted(layout.pki() + "/ca.crt") +
         "\ncertificate = " + quoted(layout.pki() + "/admin-admin.crt") +
         "\nkey = " + quoted(layout.pki() + "/admin-admin.key") + "\n";
}

Result<Done> writeNewCluster(const LocalPlan& plan, const LocalLayout& layout, Random& random) {
  try {
    makeFolders(plan, layout);
  } catch (const std::filesystem::filesystem_error& error) {
    bool full = error.code() == std::errc::no_space_on_device;
    return Refusal{full ? RefusalCode::DISK_FULL : RefusalCode::INVALID_VALUE,
                   "cannot make " + error.path1().string() + ": " + error.code().message()};
  }
  // A directory without local.json is an attempt that broke off: its authority signed nothing that
  // runs.
  std::filesystem::remove_all(layout.pki());
  makeFolder(layout.pki(), 0755);
  issueCertificates(plan, layout);
  for (const auto& file : filesOf(plan, layout, random)) {
    auto written = writeFileAtomically(file.path, file.content, file.mode);
    if (!written) return written;
  }
  return Done{};
}

}  // namespace muster::cli
