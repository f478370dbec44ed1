// What a sum over two processes of one machine costs, over shared memory and over TCP: tensor
// parallel ranks wait for it twice in each layer.
//
// Beside the medians stand the 99th percentiles, and the larger sizes of a prompt. Other people's
// processes show first in a benchmark of microseconds: the two ranks need a core each.
#include "base/clock.h"
#include "bench/options.h"
#include "bench/report.h"
#include "worker/collective/communicators.h"

#include <kj/debug.h>

#include <arpa/inet.h>
#include <functional>
#include <netinet/in.h>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

// A connected pair over the loopback device.
std::pair<kj::AutoCloseFd, kj::AutoCloseFd> tcpPair() {
  int listening = -1;
  int near = -1;
  int far = -1;
  KJ_SYSCALL(listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd listener(listening);
  struct sockaddr_in address {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* raw = reinterpret_cast<struct sockaddr*>(&address);
  KJ_SYSCALL(::bind(listener, raw, length));
  KJ_SYSCALL(::listen(listener, 1));
  KJ_SYSCALL(::getsockname(listener, raw, &length));
  KJ_SYSCALL(near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd mine(near);
  KJ_SYSCALL(::connect(mine, raw, length));
  KJ_SYSCALL(far = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  return {kj::mv(mine), kj::AutoCloseFd(far)};
}

// Two ranks, this process and a child of it, that do the same.
class TwoProcesses {
 public:
  // `host`: the same identity for both ranks, or "" for TCP.
  TwoProcesses(const std::string& host, const std::function<void(Communicators&)>& work) {
    auto [near, far] = tcpPair();
    std::vector<SharedMemory> memories;
    std::vector<RankCard> cards;
    for (int rank = 0; rank < 2; ++rank) {
      memories.push_back(SharedMemory::make());
      writeMark(memories.back(), MemoryMark{});
      cards.push_back({host, "", memories.back().address()});
    }
    pid_t child = ::fork();
    KJ_REQUIRE(child >= 0, "no second process");
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      takePart(1, cards, kj::mv(memories[1]), kj::mv(far), work);
      ::_exit(0);
    }
    takePart(0, cards, kj::mv(memories[0]), kj::mv(near), work);
    int status = 0;
    KJ_SYSCALL(::waitpid(child, &status, 0));
    KJ_REQUIRE(status == 0, "the second process failed", status);
  }

 private:
  static void takePart(uint32_t rank, const std::vector<RankCard>& cards, SharedMemory memory,
                       kj::AutoCloseFd connection,
                       const std::function<void(Communicators&)>& work) {
    SystemClock clock;
    std::map<RankNumber, kj::AutoCloseFd> connections;
    connections.emplace(RankNumber{1 - rank}, kj::mv(connection));
    Communicators all({.worldSize = 2, .tensor = 2, .self = rank, .deadline = 30_s},
                      {cards, {MemoryMark{}, MemoryMark{}}, kj::mv(memory), std::move(connections)},
                      clock);
    work(all);
  }
};

// Durations of `times` sums of `bytes`, microseconds, as rank 0 sees them.
std::vector<double> measure(const std::string& host, size_t bytes, size_t times) {
  std::vector<double> took;
  TwoProcesses(host, [&](Communicators& all) {
    SystemClock clock;
    std::vector<float> values(bytes / sizeof(float), 1.0f);
    for (size_t i = 0; i < times + times / 10; ++i) {
      SteadyTime start = clock.steadyNow();
      all.tensor().allReduceSum(values);
      auto nanos = static_cast<double>((clock.steadyNow() - start).nanos);
      if (i >= times / 10) took.push_back(nanos / 1000.0);  // the first ones fault the pages in
      std::fill(values.begin(), values.end(), 1.0f);
    }
  });
  return took;
}

}  // namespace
}  // namespace muster::worker

int main(int argc, char** argv) {
  using muster::worker::measure;
  muster::bench::Options options(argc, argv, {{"rounds", 20000}});
  size_t rounds = options.count("rounds");
  muster::bench::Report report("allreduce");
  report.budget("tcp_16k_us", "<= 50").budget("shm_16k_us", "<= 25");
  const std::vector<std::pair<std::string, size_t>> sizes = {
      {"4k", 4 << 10}, {"16k", 16 << 10}, {"64k", 64 << 10}, {"1m", 1 << 20}};
  for (const auto& [name, bytes] : sizes) {
    size_t times = std::max<size_t>(100, rounds * 4096 / std::max<size_t>(4096, bytes));
    for (const std::string& way : {std::string("tcp"), std::string("shm")}) {
      auto took = measure(way == "shm" ? muster::worker::hostIdentity() : "", bytes, times);
      report.figure(way + "_" + name + "_us", muster::bench::percentile(took, 0.5));
      report.figure(way + "_" + name + "_p99_us", muster::bench::percentile(took, 0.99));
    }
  }
  // Between two processes of a machine of this kind, Debian's gloo and a plain exchange (no
  // library).
  report.figure("peer.gloo_ring_16k_us", 356).figure("peer.gloo_halving_16k_us", 195);
  report.figure("peer.plain_tcp_16k_us", 15).figure("peer.plain_shm_16k_us", 9.4);
  return report.print();
}
