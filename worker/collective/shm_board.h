// The shared memory of one communicator, as all its members see it: who has come how far, the
// members' buffers, and a channel for each pair.
#pragma once

#include "worker/collective/membership.h"
#include "worker/collective/shared_memory.h"
#include "worker/collective/shm_signal.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace muster::worker {

// Zero bytes are a valid new board: nobody has to prepare it before the others come.
class ShmBoard {
 public:
  // A message is cut into rounds of at most this size.
  static constexpr uint64_t BUFFER_BYTES = 256 << 10;
  static constexpr uint64_t CHANNEL_BYTES = 64 << 10;
  // Each buffer and channel has two halves: while the one is read the other is written.
  static constexpr uint32_t HALVES = 2;

  // What one member is doing; on a cache line of its own.
  struct alignas(64) MemberLine {
    std::atomic<uint64_t> round;  // the round it has come to
    // Of that round, and of the one before, which a slower member may still be looking at.
    std::atomic<uint64_t> bytes[HALVES];
    std::atomic<OperationKind> kind[HALVES];
  };

  // From one member to another: halves are filled in turn.
  struct Channel {
    ShmSignal written;
    ShmSignal read;
  };

  static uint64_t bytesFor(uint32_t members);

  // `offset` and the size of `memory` as the members have agreed.
  ShmBoard(const SharedMemory& memory, uint64_t offset, uint32_t members);

  MemberLine& line(uint32_t member) const;
  std::byte* buffer(uint32_t member, uint64_t round) const;
  Channel& channel(uint32_t from, uint32_t to) const;
  std::byte* channelHalf(uint32_t from, uint32_t to, uint32_t count) const;

  // Counts rounds that every member has come to.
  ShmSignal& released() const { return head().released; }
  // Says that one more member has come; true for the last one of a round.
  bool arrive() const;

  // Ends everything for everybody. The first reason stays.
  void breakUp(const std::string& why) const;
  std::string whyBroken() const;

 private:
  struct Head {
    ShmSignal released;
    alignas(64) std::atomic<uint64_t> arrivals;
    alignas(64) std::atomic<uint32_t> reasonState;  // 0 none, 1 being written, 2 there
    char reason[512];
  };
  Head& head() const { return *reinterpret_cast<Head*>(mapping_.bytes().data()); }

  uint32_t members_;
  SharedMapping mapping_;
};

}  // namespace muster::worker
