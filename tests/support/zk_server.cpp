#include "tests/support/zk_server.h"

#include "base/zookeeper_command.h"
#include "tests/support/free_ports.h"

#include <kj/debug.h>

#include <arpa/inet.h>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace muster::support {
namespace {

constexpr int PROBE_MS = 100;
constexpr int START_SECONDS_MAX = 30;

class Socket {
 public:
  Socket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    KJ_REQUIRE(fd_ >= 0);
  }
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  bool ready(short events) const {
    pollfd entry{fd_, events, 0};
    return poll(&entry, 1, PROBE_MS) > 0;
  }

 private:
  int fd_;
};

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

pid_t spawn(const std::vector<std::string>& argv, const std::string& logFile) {
  std::vector<char*> pointers;
  for (const std::string& argument : argv)
    pointers.push_back(const_cast<char*>(argument.c_str()));  // NOLINT
  pointers.push_back(nullptr);
  pid_t parent = getpid();
  pid_t child = fork();
  KJ_REQUIRE(child >= 0, "fork failed", strerror(errno));
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  int log = open(logFile.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (log >= 0) dup2(log, 1), dup2(log, 2);
  execvp(pointers[0], pointers.data());
  _exit(127);
}

void pauseForProbe() {
  timespec tenMilliseconds{0, 10'000'000};
  nanosleep(&tenMilliseconds, nullptr);
}

time_t steadySeconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

}  // namespace

ZkServers::ZkServers(size_t count, Duration tick)
    : ZkServers(count, ZkServerOptions{.tick = tick}) {}

ZkServers::ZkServers(size_t count, ZkServerOptions options) : options_(options), servers_(count) {
  std::string pattern = std::filesystem::temp_directory_path() / "muster-zk-XXXXXX";
  KJ_REQUIRE(mkdtemp(pattern.data()) != nullptr, "no temporary folder", pattern.c_str());
  directory_ = pattern;
  for (int attempt = 0; attempt < 5;
       attempt++) {  // another process may take a port between choice and use
    choosePorts();
    if (tryStartAll()) return;
  }
  std::ifstream log(folder(0) + "/server.log");
  std::string text((std::istreambuf_iterator<char>(log)), std::istreambuf_iterator<char>());
  std::filesystem::remove_all(directory_);
  KJ_FAIL_REQUIRE("ZooKeeper did not start", text.c_str());
}

ZkServers::~ZkServers() {
  for (size_t i = 0; i < servers_.size(); i++) kill(i);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void ZkServers::choosePorts() {
  auto ports = freePorts(servers_.size() * 3);
  for (size_t i = 0; i < servers_.size(); i++) {
    servers_[i].clientPort = ports[3 * i];
    servers_[i].quorumPort = ports[3 * i + 1];
    servers_[i].electionPort = ports[3 * i + 2];
  }
}

bool ZkServers::tryStartAll() {
  for (size_t i = 0; i < servers_.size(); i++) start(i);
  time_t deadline = steadySeconds() + START_SECONDS_MAX;
  for (size_t i = 0; i < servers_.size();) {
    if (serves(i)) {
      i++;
    } else if (exited(i) || steadySeconds() > deadline) {
      for (size_t k = 0; k < servers_.size(); k++) kill(k);
      return false;
    } else {
      pauseForProbe();
    }
  }
  return true;
}

bool ZkServers::exited(size_t server) {
  pid_t& pid = servers_[server].pid;
  if (pid != 0 && waitpid(pid, nullptr, WNOHANG) == pid) pid = 0;
  return pid == 0;
}

std::string ZkServers::folder(size_t server) const {
  return directory_ + "/" + std::to_string(server + 1);
}

void ZkServers::writeConfig(size_t server) const {
  ZookeeperServerOptions options;
  options.directory = folder(server);
  options.tick = options_.tick;
  options.heapMax = options_.heapMax;
  options.tellsHeap = false;  // small on purpose, and the log of a test is short
  options.self = server;
  for (const Server& s : servers_) {
    options.members.push_back(
        ZookeeperMember{"127.0.0.1", s.clientPort, s.quorumPort, s.electionPort});
  }
  std::filesystem::create_directories(options.directory + "/data");
  std::ofstream(options.directory + "/zoo.cfg") << zookeeperConfig(options);
  std::string myId = zookeeperMyId(options);
  if (!myId.empty()) std::ofstream(options.directory + "/data/myid") << myId;
}

void ZkServers::start(size_t server) {
  KJ_REQUIRE(servers_[server].pid == 0, "server runs already", server);
  writeConfig(server);
  ZookeeperServerOptions options;
  options.directory = folder(server);
  options.heapMax = options_.heapMax;
  options.startUp = options_.startUp;
  servers_[server].pid =
      spawn(zookeeperCommand(options, findZookeeperJars().value()), folder(server) + "/server.log");
}

void ZkServers::kill(size_t server) {
  pid_t& pid = servers_[server].pid;
  if (pid == 0) return;
  ::kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  pid = 0;
}

void ZkServers::freeze(size_t server) { KJ_SYSCALL(::kill(servers_.at(server).pid, SIGSTOP)); }
void ZkServers::thaw(size_t server) { KJ_SYSCALL(::kill(servers_.at(server).pid, SIGCONT)); }

void ZkServers::eraseData(size_t server) {
  KJ_REQUIRE(servers_[server].pid == 0, "server still runs", server);
  std::filesystem::remove_all(folder(server) + "/data");
}

std::string ZkServers::address(size_t server) const {
  return "127.0.0.1:" + std::to_string(servers_.at(server).clientPort);
}

std::vector<std::string> ZkServers::addresses() const {
  std::vector<std::string> all;
  for (size_t i = 0; i < servers_.size(); i++) all.push_back(address(i));
  return all;
}

std::string ZkServers::ask(size_t server, const std::string& word) const {
  Socket connection;
  sockaddr_in address = loopback(servers_.at(server).clientPort);
  int rc = connect(connection.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (rc != 0 && (errno != EINPROGRESS || !connection.ready(POLLOUT))) return "";
  if (send(connection.fd(), word.data(), word.size(), MSG_NOSIGNAL) < 0) return "";
  std::string answer;
  char buffer[4096];
  while (connection.ready(POLLIN)) {
    ssize_t size = recv(connection.fd(), buffer, sizeof buffer, 0);
    if (size <= 0) break;
    answer.append(buffer, static_cast<size_t>(size));
  }
  return answer;
}

bool ZkServers::serves(size_t server) const {
  return ask(server, "mntr").find("zk_server_state") != std::string::npos;
}

size_t ZkServers::leader() const {
  for (size_t i = 0; i < servers_.size(); i++) {
    if (servers_[i].pid != 0 && ask(i, "mntr").find("zk_server_state\tleader") != std::string::npos)
      return i;
  }
  KJ_FAIL_REQUIRE("no server says that it leads");
}

void ZkServers::awaitServing() {
  time_t deadline = steadySeconds() + START_SECONDS_MAX;
  for (size_t i = 0; i < servers_.size(); i++) {
    while (servers_[i].pid != 0 && !serves(i)) {
      KJ_REQUIRE(steadySeconds() < deadline, "a server does not serve", i);
      pauseForProbe();
    }
  }
}

}  // namespace muster::support
