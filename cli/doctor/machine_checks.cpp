#include "cli/doctor/machine_checks.h"

#include "base/pki.h"
#include "base/units.h"

#include <kj/exception.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <netinet/in.h>
#include <set>
#include <sstream>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <unistd.h>

namespace muster::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t DAY_MS = 86'400'000;
constexpr int64_t RENEW_DAYS = 30;
constexpr double FREE_LEAST = 0.05;
constexpr double FREE_WANTED = 0.20;
constexpr uint16_t FIRST_DOOR = 2181;
constexpr uint16_t LAST_DOOR = 2187;

Check checkCertificate(const fs::path& path, WallTime now) {
  CertificateFacts facts;
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { facts = readCertificate(path.string()); })) {
    return {Verdict::FAILED, "certificate",
            path.string() + " cannot be read: " + why->getDescription().cStr(),
            "ansible-playbook playbooks/certs.yml"};
  }
  int64_t days = (facts.notAfter.unixMs - now.unixMs) / DAY_MS;
  std::string what = facts.commonName + " (" + path.string() + ") ";
  if (facts.notAfter <= now) {
    return {Verdict::FAILED, "certificate", what + "ended on " + toRfc3339(facts.notAfter),
            "ansible-playbook playbooks/certs.yml"};
  }
  std::string left = what + "ends in " + std::to_string(days) + " days";
  if (days >= RENEW_DAYS) return {Verdict::OK, "certificate", left, ""};
  return {Verdict::WARNING, "certificate", left, "ansible-playbook playbooks/certs.yml"};
}

// Ports at which somebody on this machine listens, as /proc/net/tcp and tcp6 tell it.
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

// What a ZooKeeper server answers to a four-letter word; empty when it does not.
std::string askZookeeper(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  timeval patience{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  bool asked = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
               send(fd, "srvr", 4, MSG_NOSIGNAL) == 4;
  std::array<char, 1024> buffer{};
  for (ssize_t size = 1; asked && (size = read(fd, buffer.data(), buffer.size())) > 0;) {
    answer.append(buffer.data(), static_cast<size_t>(size));
  }
  close(fd);
  return answer;
}

std::string lineAfter(const std::string& text, const std::string& label) {
  auto at = text.find(label);
  if (at == std::string::npos) return "";
  at += label.size();
  return text.substr(at, text.find('\n', at) - at);
}

// The lines that a program prints; none when it cannot be run.
std::vector<std::string> linesOf(const char* command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command, "r"), pclose);
  std::vector<std::string> lines;
  std::array<char, 512> buffer{};
  while (pipe && fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) {
    lines.emplace_back(buffer.data(), std::strcspn(buffer.data(), "\n"));
  }
  return lines;
}

bool isRank(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/cgroup");
  std::string cgroup(std::istreambuf_iterator<char>(file), {});
  return cgroup.find("muster-rank-") != std::string::npos ||
         cgroup.find("muster-worker.service") != std::string::npos;
}

}  // namespace

Checks checkCertificates(const std::string& folder, WallTime now) {
  std::set<fs::path> paths;  // sorted
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".crt") paths.insert(entry.path());
  }
  Checks checks;
  for (const auto& path : paths) checks.push_back(checkCertificate(path, now));
  return checks;
}

Checks checkDisk(const std::string& folder) {
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0 || disk.f_blocks == 0) return {};
  double free = static_cast<double>(disk.f_bavail) / static_cast<double>(disk.f_blocks);
  Bytes left{uint64_t{disk.f_bavail} * disk.f_frsize};
  std::string text = folder + " has " + toShortText(left) + " free, " +
                     std::to_string(static_cast<int>(free * 100)) + " %";
  if (free >= FREE_WANTED) return {{Verdict::OK, "disk", text, ""}};
  return {{free < FREE_LEAST ? Verdict::FAILED : Verdict::WARNING, "disk", text,
           "du -xh " + folder + " | sort -h | tail"}};
}

Checks checkClock() {
  timex clock{};
  int state = adjtimex(&clock);
  if (state >= 0 && state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0) {
    return {{Verdict::OK, "clock", "is kept by a time service", ""}};
  }
  return {{Verdict::WARNING, "clock", "is kept by no time service, so it may be off",
           "apt-get install chrony"}};
}

Checks checkPorts(const std::string& configFolder) {
  struct Door {
    const char* file;
    const char* unit;
    std::vector<uint16_t> ports;
  };
  const Door DOORS[] = {{"coordinator.toml", "muster-coordinator", {7400, 7401}},
                        {"gateway.toml", "muster-gateway", {7402}},
                        {"worker.toml", "muster-worker", {7412}}};
  auto listening = listeningPorts();
  Checks checks;
  for (const Door& door : DOORS) {
    if (!fs::exists(fs::path(configFolder) / door.file)) continue;
    for (uint16_t port : door.ports) {
      bool there = listening.count(port) > 0;
      checks.push_back({there ? Verdict::OK : Verdict::FAILED, "port " + std::to_string(port),
                        std::string(door.unit) + (there ? " listens" : " does not listen"),
                        there ? "" : std::string("systemctl status ") + door.unit});
    }
  }
  return checks;
}

Checks checkZookeeper(const std::vector<uint16_t>& ports) {
  Checks checks;
  for (uint16_t port : ports) {
    std::string subject = "zookeeper 127.0.0.1:" + std::to_string(port);
    std::string mode = lineAfter(askZookeeper(port), "Mode: ");
    if (mode.empty()) {
      checks.push_back({Verdict::FAILED, subject, "does not serve",
                        "systemctl status muster-zookeeper, on the machine that "
                        "/etc/muster/zookeeper-tunnel.conf names for this port"});
    } else {
      checks.push_back({Verdict::OK, subject, mode, ""});
    }
  }
  return checks;
}

Checks checkGpus() {
  Checks checks;
  for (const auto& line : linesOf("nvidia-smi --query-compute-apps=pid,used_memory,gpu_uuid "
                                  "--format=csv,noheader 2>/dev/null")) {
    std::string pid = line.substr(0, line.find(','));
    if (isRank(pid)) continue;
    checks.push_back(
        {Verdict::WARNING, "gpu", "pid " + line + ": not started by Muster", "ps -fp " + pid});
  }
  return checks;
}

Checks checkMachine(const MachinePaths& paths, WallTime now) {
  Checks all = checkCertificates(paths.config + "/pki", now);
  auto take = [&all](Checks more) { std::move(more.begin(), more.end(), std::back_inserter(all)); };
  take(checkDisk(paths.data));
  take(checkDisk(paths.zookeeperData));
  take(checkClock());
  take(checkPorts(paths.config));
  std::vector<uint16_t> doors;
  for (uint16_t port : listeningPorts()) {
    if (port >= FIRST_DOOR && port <= LAST_DOOR) doors.push_back(port);
  }
  take(checkZookeeper(doors));
  take(checkGpus());
  return all;
}

}  // namespace muster::cli
