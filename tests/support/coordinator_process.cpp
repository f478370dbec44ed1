#include "tests/support/coordinator_process.h"

#include "base/pki.h"
#include "tests/support/free_ports.h"

#include <kj/debug.h>

#include <csignal>
#include <fstream>
#include <unistd.h>

namespace muster::support {
namespace {

std::string quotedList(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "\"" : ", \"") + text + "\"";
  return "[" + list + "]";
}

}  // namespace

CoordinatorProcesses::CoordinatorProcesses(const ClusterName& cluster,
                                           const std::vector<std::string>& zookeeper, size_t count,
                                           Duration session)
    : CoordinatorProcesses(
          cluster, [&zookeeper](size_t) { return zookeeper; }, count, session) {}

CoordinatorProcesses::CoordinatorProcesses(const ClusterName& cluster, const ZookeeperOf& zookeeper,
                                           size_t count, Duration session)
    : cluster_(cluster), session_(session) {
  createCa(folder_.path(), cluster);
  std::ofstream(folder_ / "digest") << "muster:a secret of tests\n";
  for (uint16_t port : freePorts(count)) {
    members_.push_back({"co" + std::to_string(members_.size() + 1), port, 0});
  }
  for (size_t i = 0; i < count; i++) {
    certificate({Role::COORDINATOR, members_[i].id});
    writeConfig(members_[i], zookeeper(i));
  }
}

CoordinatorProcesses::~CoordinatorProcesses() {
  for (size_t i = 0; i < members_.size(); i++) kill(i);
}

std::string CoordinatorProcesses::address(size_t member) const {
  return "127.0.0.1:" + std::to_string(members_.at(member).port);
}

std::string CoordinatorProcesses::dataDirectory(size_t member) const {
  return folder_ / (members_.at(member).id + "-data");
}

std::string CoordinatorProcesses::configPath(size_t member) const {
  return folder_ / (members_.at(member).id + ".toml");
}

std::string CoordinatorProcesses::logPath(size_t member) const {
  return folder_ / (members_.at(member).id + ".log");
}

std::string CoordinatorProcesses::log(size_t member) const { return contentOf(logPath(member)); }

TlsFiles CoordinatorProcesses::certificate(const PeerIdentity& identity) {
  CertificateRequest request;
  request.identity = identity;
  request.cluster = cluster_;
  return issueCertificate(folder_.path(), request, folder_.path());
}

void CoordinatorProcesses::writeConfig(const Member& member,
                                       const std::vector<std::string>& zookeeper) {
  std::ofstream file(folder_ / (member.id + ".toml"));
  file << "cluster = \"" << cluster_.value << "\"\nid = \"" << member.id << "\"\n"
       << "data_dir = \"" << (folder_ / (member.id + "-data")) << "\"\n"
       << "[zookeeper]\nservers = " << quotedList(zookeeper) << "\ndigest_file = \""
       << (folder_ / "digest") << "\"\nsession_timeout = \"" << session_.millis() << "ms\"\n"
       << "[rpc]\nlisten = \"127.0.0.1:" << member.port << "\"\n"
       << "[http]\nlisten = \"127.0.0.1:0\"\n"
       << "[tls]\nca = \"" << (folder_ / "ca.crt") << "\"\ncertificate = \""
       << (folder_ / ("coordinator-" + member.id + ".crt")) << "\"\nkey = \""
       << (folder_ / ("coordinator-" + member.id + ".key")) << "\"\n";
  for (const Member& peer : members_) {
    file << "[[peers]]\nid = \"" << peer.id << "\"\naddress = \"127.0.0.1:" << peer.port << "\"\n";
  }
}

void CoordinatorProcesses::start(size_t member) {
  Member& started = members_.at(member);
  KJ_REQUIRE(started.pid == 0, "it runs", started.id.c_str());
  started.pid = spawnProgram("muster-coordinator", {"--config", configPath(member)},
                             folder_ / (started.id + ".log"));
}

void CoordinatorProcesses::kill(size_t member) {
  if (members_.at(member).pid == 0) return;
  signal(member, SIGKILL);
  awaitEnd(members_[member].pid);
  members_[member].pid = 0;
}

ProcessEnd CoordinatorProcesses::terminate(size_t member) {
  signal(member, SIGTERM);
  ProcessEnd end = awaitEnd(members_.at(member).pid);
  members_[member].pid = 0;
  end.output = log(member);
  return end;
}

void CoordinatorProcesses::signal(size_t member, int number) {
  KJ_REQUIRE(members_.at(member).pid != 0, "it does not run", member);
  ::kill(members_[member].pid, number);
}

ProcessEnd CoordinatorProcesses::run(const std::vector<std::string>& arguments) {
  std::string output = folder_ / "run.out";
  std::filesystem::remove(output);
  ProcessEnd end = awaitEnd(spawnProgram("muster-coordinator", arguments, output));
  end.output = contentOf(output);
  return end;
}

}  // namespace muster::support
