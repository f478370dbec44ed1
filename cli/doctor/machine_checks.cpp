#include "cli/doctor/machine_checks.h"

#include "base/units.h"
#include "cli/doctor/certificate_checks.h"
#include "cli/doctor/coordinator_file.h"
#include "cli/doctor/port_checks.h"
#include "cli/doctor/zookeeper_answers.h"
#include "cli/doctor/zookeeper_ensemble.h"
#include "cli/doctor/zookeeper_files.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sys/statvfs.h>
#include <sys/timex.h>

namespace muster::cli {
namespace {

constexpr double FREE_LEAST = 0.05;
constexpr double FREE_WANTED = 0.20;
// Certificates and what people read bear with more, but so much is never a time service at work.
constexpr Duration CLOCK_ERROR_MOST = 1_s;
constexpr uint16_t FIRST_DOOR = 2181;
constexpr uint16_t LAST_DOOR = 2187;

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

void append(Checks& all, Checks more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

// Where somebody listens at a door of muster-zookeeper-tunnel.service, and where servers do that
// run here.
std::vector<std::string> addressesHere(const std::vector<ZookeeperProcess>& zookeepers) {
  std::set<std::string> addresses;
  for (uint16_t port : listeningPorts()) {
    if (port < FIRST_DOOR || port > LAST_DOOR) continue;
    addresses.insert("127.0.0.1:" + std::to_string(port));
  }
  for (const auto& process : zookeepers) addresses.insert(clientAddress(process));
  addresses.erase("");
  return {addresses.begin(), addresses.end()};
}

bool isRank(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/cgroup");
  std::string cgroup(std::istreambuf_iterator<char>(file), {});
  return cgroup.find("muster-rank-") != std::string::npos ||
         cgroup.find("muster-worker.service") != std::string::npos;
}

}  // namespace

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

ClockState readClock() {
  timex clock{};
  int state = adjtimex(&clock);
  bool kept = state >= 0 && state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0;
  return {kept ? TimeService::THERE : TimeService::NONE, Duration{clock.maxerror * 1'000}};
}

Checks checkClock(const ClockState& clock) {
  if (clock.service == TimeService::NONE) {
    return {{Verdict::WARNING, "clock", "is kept by no time service, so it may be off",
             "apt-get install chrony"}};
  }
  if (clock.errorMax > CLOCK_ERROR_MOST) {
    return {{Verdict::WARNING, "clock",
             "may be off by " + toText(Duration{clock.errorMax.millis() * 1'000'000}) +
                 ", as its time service says; wanted is less than " + toText(CLOCK_ERROR_MOST),
             "chronyc sources, or timedatectl timesync-status"}};
  }
  return {{Verdict::OK, "clock", "is kept by a time service", ""}};
}

Checks checkZookeepers(const std::vector<std::string>& addresses, const ZookeeperWanted& wanted) {
  std::vector<ZookeeperServer> servers;
  Checks checks;
  for (const auto& address : addresses) {
    servers.push_back(readZookeeper(address, askZookeeper(address)));
    append(checks, checkZookeeperServer(servers.back(), wanted));
  }
  // Doors that nobody named may lead to several ensembles.
  if (wanted.servers > 0) append(checks, checkZookeeperEnsemble(servers, wanted));
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
  append(all, checkCertificates(paths.zookeeperConfig, now));
  append(all, checkDisk(paths.data));
  append(all, checkDisk(paths.zookeeperData));
  append(all, checkClock(readClock()));
  append(all, checkPorts(paths.config));
  auto zookeepers = zookeepersHere();
  auto coordinator = readCoordinatorFile(paths.config + "/coordinator.toml");
  ZookeeperWanted wanted;
  if (coordinator) wanted = {coordinator->session, coordinator->zookeepers.size()};
  append(all, checkZookeepers(coordinator ? coordinator->zookeepers : addressesHere(zookeepers),
                              wanted));
  for (const auto& process : zookeepers) append(all, checkZookeeperFile(process));
  append(all, checkGpus());
  return all;
}

}  // namespace muster::cli
