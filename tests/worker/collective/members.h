// The members of one communicator, each on a thread of its own, over either transport.
#pragma once

#include "base/clock.h"
#include "worker/collective/shm_board.h"
#include "worker/collective/shm_collective.h"
#include "worker/collective/tcp_collective.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

namespace muster::worker {

enum class Via { SHARED_MEMORY, TCP };

class Members {
 public:
  Members(Via via, uint32_t count, Duration deadline = 20_s)
      : memory_(SharedMemory::make()), connections_(count) {
    if (via == Via::TCP) connectAll(count);
    memory_.grow(ShmBoard::bytesFor(count));
    for (uint32_t i = 0; i < count; ++i) {
      Membership group{.name = "the group", .ranks = {}, .self = i, .deadline = deadline};
      for (uint32_t rank = 0; rank < count; ++rank) group.ranks.push_back({rank});
      if (via == Via::TCP) {
        meshes_.push_back(std::make_unique<TcpMesh>(std::move(connections_[i])));
        members_.push_back(makeTcpCollective(group, 7, *meshes_[i], clock_, Spinning::NEVER));
      } else {
        members_.push_back(makeShmCollective(group, ShmBoard(memory_, 0, count), clock_,
                                             i % 2 == 0 ? Spinning::NEVER : Spinning::SHORTLY));
      }
    }
  }

  Collective& operator[](uint32_t member) { return *members_[member]; }
  uint32_t size() const { return static_cast<uint32_t>(members_.size()); }
  TcpMesh& mesh(uint32_t member) { return *meshes_[member]; }
  void leave(uint32_t member) {
    members_[member] = nullptr;
    if (!meshes_.empty()) meshes_[member] = nullptr;
  }

  // Runs `work` for the given members at the same time. Returns what each ended with: "" or the
  // text of its CollectiveBroken; shape [who.size()].
  using Work = std::function<void(Collective& collective)>;
  std::vector<std::string> run(const std::vector<uint32_t>& who, const Work& work) {
    std::vector<std::string> errors(who.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < who.size(); ++i) {
      threads.emplace_back([&, i] {
        try {
          work(*members_[who[i]]);
        } catch (const CollectiveBroken& broken) {
          errors[i] = broken.what();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return errors;
  }
  // The same for all; expects that none fails.
  void runAll(const Work& work) {
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < size(); ++i) all.push_back(i);
    for (const auto& error : run(all, work)) EXPECT_EQ(error, "");
  }

 private:
  void connectAll(uint32_t count) {
    for (uint32_t a = 0; a < count; ++a) {
      for (uint32_t b = a + 1; b < count; ++b) {
        int pair[2];
        KJ_SYSCALL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        connections_[a].emplace(RankNumber{b}, kj::AutoCloseFd(pair[0]));
        connections_[b].emplace(RankNumber{a}, kj::AutoCloseFd(pair[1]));
      }
    }
  }

  SystemClock clock_;
  SharedMemory memory_;
  std::vector<std::map<RankNumber, kj::AutoCloseFd>> connections_;
  std::vector<std::unique_ptr<TcpMesh>> meshes_;
  std::vector<kj::Own<Collective>> members_;
};

}  // namespace muster::worker
