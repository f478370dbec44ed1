#include "bench/agent_fleet.h"

#include "tests/support/child_program.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace muster::bench {
namespace {

std::string outputOf(const TemporaryFolder& folder, size_t process) {
  return folder / ("agents-" + std::to_string(process));
}

// The newest line about each epoch.
std::map<uint64_t, AgentFleet::Answered> readOutput(const std::string& path) {
  std::map<uint64_t, AgentFleet::Answered> answered;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    unsigned long long epoch = 0;
    unsigned long long agents = 0;
    long long last = 0;
    if (std::sscanf(line.c_str(), "epoch %llu answered %llu at %lld", &epoch, &agents, &last) != 3)
      continue;
    answered[epoch] = {static_cast<size_t>(agents), SteadyTime{last}};
  }
  return answered;
}

// The newest line that counts them.
size_t readAttached(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  unsigned long long newest = 0;
  while (std::getline(file, line)) {
    unsigned long long attached = 0;
    if (std::sscanf(line.c_str(), "attached %llu", &attached) == 1) newest = attached;
  }
  return static_cast<size_t>(newest);
}

}  // namespace

AgentFleet::AgentFleet(support::CoordinatorProcesses& coordinators, const ClusterName& cluster,
                       size_t agents, size_t devices)
    : agents_(agents) {
  TlsFiles any = coordinators.certificate({Role::OPERATOR, "fleet"});
  std::string authority = std::filesystem::path(any.ca).parent_path();
  for (size_t first = 0; first < agents; first += AGENTS_OF_A_PROCESS) {
    std::vector<std::string> words = {cluster.value, authority, std::to_string(first),
                                      std::to_string(std::min(AGENTS_OF_A_PROCESS, agents - first)),
                                      std::to_string(devices)};
    for (size_t i = 0; i < coordinators.count(); ++i) words.push_back(coordinators.address(i));
    processes_.push_back(support::spawnProgram("../bench/muster-agents", words,
                                               outputOf(folder_, processes_.size())));
  }
}

AgentFleet::~AgentFleet() {
  for (pid_t process : processes_) {
    ::kill(process, SIGKILL);
    support::awaitEnd(process);
  }
}

AgentFleet::Answered AgentFleet::answeredAfter(uint64_t epoch) const {
  Answered all;
  for (size_t i = 0; i < processes_.size(); ++i) {
    auto answered = readOutput(outputOf(folder_, i));
    auto newest = answered.empty() ? answered.end() : std::prev(answered.end());
    if (newest == answered.end() || newest->first <= epoch) continue;
    all.agents += newest->second.agents;
    all.last = std::max(all.last, newest->second.last);
  }
  return all;
}

size_t AgentFleet::attachedEverywhere() const {
  size_t all = 0;
  for (size_t i = 0; i < processes_.size(); ++i) all += readAttached(outputOf(folder_, i));
  return all;
}

uint64_t AgentFleet::epoch() const {
  uint64_t epoch = 0;
  for (size_t i = 0; i < processes_.size(); ++i) {
    auto answered = readOutput(outputOf(folder_, i));
    if (!answered.empty()) epoch = std::max(epoch, answered.rbegin()->first);
  }
  return epoch;
}

std::string AgentFleet::log() const {
  std::ostringstream all;
  for (size_t i = 0; i < processes_.size(); ++i) {
    all << std::ifstream(outputOf(folder_, i)).rdbuf() << '\n';
  }
  return all.str();
}

}  // namespace muster::bench
