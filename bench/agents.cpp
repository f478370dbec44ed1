// Many simulated agents in one process, for benchmarks: each with a certificate, and a connection
// to every coordinator.
//
// Usage: muster-agents CLUSTER PKI_FOLDER FIRST COUNT DEVICES ADDRESS...
// Agents gpu100000 + FIRST and so on; CA and key lie in PKI_FOLDER. They start a few at a time,
// each as soon as one before it is attached everywhere and has heard of the leader. Prints "epoch E
// answered N at T": so many have been answered by the leader of epoch E, the last at T ns of the
// kernel's boot clock. Prints "attached N" each second in which that changed: so many are attached
// to every coordinator.
#include "base/kj_time.h"
#include "base/no_stack_traces.h"
#include "bench/simulated_agent.h"
#include "tests/base/temporary_folder.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <sys/resource.h>
#include <utility>

namespace muster::bench {
namespace {

constexpr size_t STARTING_MAX = 8;      // at the same time: handshakes have deadlines
constexpr Duration LOOK_EVERY = 50_ms;  // what is said then tells when it happened
constexpr Duration COUNT_EVERY = 1_s;   // asks every link of every agent
constexpr int NICENESS = 5;             // a coordinator takes -10 where it may, ZooKeeper has 0

class Fleet {
 public:
  Fleet(AgentShop& shop, std::string pki, uint64_t first, uint64_t count)
      : shop_(shop), pki_(std::move(pki)), next_(first), end_(first + count) {}

  void run() {
    for (;;) {
      startMore();
      shop_.loop.timer().afterDelay(toKj(LOOK_EVERY)).wait(shop_.loop.waitScope());
      sayNews();
      if (shop_.clock.steadyNow() - counted_ >= COUNT_EVERY) sayAttached();
    }
  }

 private:
  struct Answered {
    uint64_t count = 0;
    SteadyTime last;
    bool isSaid = true;
  };

  void startMore() {
    std::erase_if(starting_, [](const SimulatedAgent* agent) { return agent->isStarted(); });
    while (next_ < end_ && starting_.size() < STARTING_MAX) startOne();
    if (next_ == end_) folder_.reset();  // this process ends by being killed
  }

  void startOne() {
    NodeName name{"gpu" + std::to_string(100'000 + next_++)};
    CertificateRequest request;
    request.identity = {Role::WORKER, name.value};
    request.cluster = shop_.cluster;
    TlsFiles files = issueCertificate(pki_, request, folder_->path());
    agents_.push_back(kj::heap<SimulatedAgent>(shop_, name, files, [this](Epoch epoch) {
      auto& answered = answered_[epoch];
      answered = {answered.count + 1, shop_.clock.steadyNow(), false};
    }));
    starting_.push_back(agents_.back());
    std::filesystem::remove(files.certificate);
    std::filesystem::remove(files.key);
  }

  void sayNews() {
    for (auto& [epoch, answered] : answered_) {
      if (std::exchange(answered.isSaid, true)) continue;
      std::printf("epoch %llu answered %llu at %lld\n",
                  static_cast<unsigned long long>(epoch.value),
                  static_cast<unsigned long long>(answered.count),
                  static_cast<long long>(answered.last.nanos));
      std::fflush(stdout);
    }
  }

  void sayAttached() {
    counted_ = shop_.clock.steadyNow();
    auto attached = std::ranges::count_if(agents_, [](auto& agent) { return agent->isStarted(); });
    if (std::exchange(attached_, attached) == attached) return;
    std::printf("attached %lld\n", static_cast<long long>(attached));
    std::fflush(stdout);
  }

  AgentShop& shop_;
  std::string pki_;
  std::optional<TemporaryFolder> folder_{std::in_place};  // until all have their certificates
  uint64_t next_;
  uint64_t end_;
  std::map<Epoch, Answered> answered_;
  std::vector<kj::Own<SimulatedAgent>> agents_;
  std::vector<const SimulatedAgent*> starting_;
  SteadyTime counted_;
  std::ptrdiff_t attached_ = 0;
};

// Agents stand for other machines. What is too much for this one shall hold up them, and not the
// coordinators and ZooKeeper.
void stepBack() { (void)setpriority(PRIO_PROCESS, 0, NICENESS); }

// Certificates are flushed when they are written. On a disk that holds up all agents of this
// process, and the logs of the ZooKeeper servers as well.
void writeToMemory() {
  if (std::filesystem::is_directory("/dev/shm")) setenv("TMPDIR", "/dev/shm", 1);
}

int run(const std::vector<std::string>& words) {
  NoStackTraces quiet;  // as of the product's daemons
  stepBack();
  writeToMemory();
  AgentShop shop;
  shop.cluster = {words[0]};
  shop.devices = static_cast<uint32_t>(std::stoul(words[4]));
  shop.coordinators = {words.begin() + 5, words.end()};
  Fleet(shop, words[1], std::stoull(words[2]), std::stoull(words[3])).run();
  return 0;
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 6) {
    std::fprintf(stderr,
                 "usage: muster-agents CLUSTER PKI_FOLDER FIRST COUNT DEVICES ADDRESS...\n");
    return 2;
  }
  try {
    return muster::bench::run(words);
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "muster-agents: %s\n", exception.getDescription().cStr());
    return 1;
  }
}
