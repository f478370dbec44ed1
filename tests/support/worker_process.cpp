#include "tests/support/worker_process.h"

#include <kj/debug.h>

#include <csignal>
#include <fstream>
#include <unistd.h>

namespace muster::support {
WorkerProcesses::WorkerProcesses(const ClusterName& cluster, CoordinatorProcesses& coordinators,
                                 size_t count, const std::string& modelRoot) {
  std::string addresses;
  for (size_t i = 0; i < coordinators.count(); i++) {
    addresses += (i == 0 ? "\"" : ", \"") + coordinators.address(i) + "\"";
  }
  for (size_t i = 0; i < count; i++) {
    std::string id = "w" + std::to_string(i + 1);
    members_.push_back({id, 0});
    TlsFiles tls = coordinators.certificate({Role::WORKER, id});
    std::ofstream(configPath(i))
        << "cluster = \"" << cluster.value << "\"\nnode = \"" << id << "\"\ncoordinators = ["
        << addresses << "]\naddress = \"127.0.0.1\"\ndata_dir = \"" << dataDirectory(i)
        << "\"\nmodel_roots = [\"" << modelRoot
        << "\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[tls]\nca = \"" << tls.ca
        << "\"\ncertificate = \"" << tls.certificate << "\"\nkey = \"" << tls.key << "\"\n"
        << "[[devices]]\nmemory = \"4GiB\"\n[[devices]]\nmemory = \"4GiB\"\n";
  }
}

WorkerProcesses::~WorkerProcesses() {
  for (size_t i = 0; i < members_.size(); i++) kill(i);
}

std::string WorkerProcesses::configPath(size_t member) const {
  return folder_ / (members_.at(member).id + ".toml");
}

std::string WorkerProcesses::dataDirectory(size_t member) const {
  return folder_ / members_.at(member).id;
}

std::string WorkerProcesses::log(size_t member) const {
  return contentOf(folder_ / (members_.at(member).id + ".log"));
}

void WorkerProcesses::start(size_t member) {
  Member& started = members_.at(member);
  KJ_REQUIRE(started.pid == 0, "it runs", started.id.c_str());
  started.pid = spawnProgram("muster-worker", {"--config", configPath(member)},
                             folder_ / (started.id + ".log"));
}

void WorkerProcesses::kill(size_t member) {
  Member& killed = members_.at(member);
  if (killed.pid == 0) return;
  ::kill(killed.pid, SIGKILL);
  awaitEnd(killed.pid);
  killed.pid = 0;
}

ProcessEnd WorkerProcesses::terminate(size_t member) {
  Member& ended = members_.at(member);
  KJ_REQUIRE(ended.pid != 0, "it does not run", ended.id.c_str());
  ::kill(ended.pid, SIGTERM);
  ProcessEnd end = awaitEnd(ended.pid);
  ended.pid = 0;
  end.output = log(member);
  return end;
}

ProcessEnd WorkerProcesses::run(const std::vector<std::string>& arguments) {
  std::string output = folder_ / "run.out";
  std::filesystem::remove(output);
  ProcessEnd end = awaitEnd(spawnProgram("muster-worker", arguments, output));
  end.output = contentOf(output);
  return end;
}

}  // namespace muster::support
