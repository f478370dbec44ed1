#include "worker/collective/shm_board.h"

#include <algorithm>
#include <cstring>

namespace muster::worker {
namespace {

constexpr uint64_t PAGE = 4096;

uint64_t wholePages(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

uint64_t headBytes(uint64_t head) { return wholePages(head); }
uint64_t lineBytes(uint64_t members) { return wholePages(members * sizeof(ShmBoard::MemberLine)); }
uint64_t signalBytes(uint64_t members) {
  return wholePages(members * members * sizeof(ShmBoard::Channel));
}
uint64_t bufferBytes(uint64_t members) {
  return members * ShmBoard::HALVES * ShmBoard::BUFFER_BYTES;
}

}  // namespace

// Untouched pages cost nothing: a pair of members that never talks has its channel for free.
uint64_t ShmBoard::bytesFor(uint32_t members) {
  return headBytes(sizeof(Head)) + lineBytes(members) + signalBytes(members) +
         bufferBytes(members) + uint64_t{members} * members * HALVES * CHANNEL_BYTES;
}

ShmBoard::ShmBoard(const SharedMemory& memory, uint64_t offset, uint32_t members)
    : members_(members), mapping_(memory, offset, bytesFor(members)) {}

ShmBoard::MemberLine& ShmBoard::line(uint32_t member) const {
  auto* lines = mapping_.bytes().data() + headBytes(sizeof(Head));
  return reinterpret_cast<MemberLine*>(lines)[member];
}

ShmBoard::Channel& ShmBoard::channel(uint32_t from, uint32_t to) const {
  auto* channels = mapping_.bytes().data() + headBytes(sizeof(Head)) + lineBytes(members_);
  return reinterpret_cast<Channel*>(channels)[from * members_ + to];
}

std::byte* ShmBoard::buffer(uint32_t member, uint64_t round) const {
  auto* buffers = mapping_.bytes().data() + headBytes(sizeof(Head)) + lineBytes(members_) +
                  signalBytes(members_);
  return buffers + (member * HALVES + round % HALVES) * BUFFER_BYTES;
}

std::byte* ShmBoard::channelHalf(uint32_t from, uint32_t to, uint32_t count) const {
  auto* halves = mapping_.bytes().data() + headBytes(sizeof(Head)) + lineBytes(members_) +
                 signalBytes(members_) + bufferBytes(members_);
  uint64_t pair = uint64_t{from} * members_ + to;
  return halves + (pair * HALVES + count % HALVES) * CHANNEL_BYTES;
}

bool ShmBoard::arrive() const {
  return (head().arrivals.fetch_add(1, std::memory_order_acq_rel) + 1) % members_ == 0;
}

void ShmBoard::breakUp(const std::string& why) const {
  uint32_t none = 0;
  if (head().reasonState.compare_exchange_strong(none, 1)) {
    size_t length = std::min(why.size(), sizeof(Head::reason) - 1);
    std::memcpy(head().reason, why.data(), length);
    head().reason[length] = '\0';
    head().reasonState.store(2, std::memory_order_release);
  }
  released().breakUp();
  for (uint32_t from = 0; from < members_; ++from) {
    for (uint32_t to = 0; to < members_; ++to) {
      if (from == to) continue;
      channel(from, to).written.breakUp();
      channel(from, to).read.breakUp();
    }
  }
}

std::string ShmBoard::whyBroken() const {
  if (head().reasonState.load(std::memory_order_acquire) != 2) return "another rank gave up";
  return {head().reason, ::strnlen(head().reason, sizeof(Head::reason))};
}

}  // namespace muster::worker
