#include "worker/collective/shm_collective.h"

#include "worker/collective/reduction.h"

#include <kj/debug.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

// About 20 us: longer than a decode step's ranks differ, shorter than a time slice by far.
constexpr uint32_t SHM_SPINS = 1000;
// Up to here every rank adds up the whole message itself, which saves a round; above, each adds up
// its part.
constexpr uint64_t SHM_WHOLE_MAX = 64 << 10;

// Every operation is made of rounds: write your own buffer, meet the others, read theirs. The
// buffers of a round are free again two rounds later: whoever has met the others in the next round
// knows that all have finished reading this one.
class ShmCollective final : public Collective {
 public:
  ShmCollective(Membership group, ShmBoard board, const Clock& clock, Spinning spinning)
      : group_(std::move(group)),
        board_(std::move(board)),
        clock_(clock),
        spins_(spinning == Spinning::SHORTLY ? SHM_SPINS : 0) {}

  uint32_t rank() const override { return group_.self; }
  uint32_t size() const override { return group_.size(); }

  void allReduceSum(std::span<float> values) override {
    Call call = begin(OperationKind::ALL_REDUCE, values.size_bytes());
    constexpr uint64_t PIECE = ShmBoard::BUFFER_BYTES / sizeof(float);
    for (uint64_t first = 0; first < values.size(); first += PIECE) {
      auto piece = values.subspan(first, std::min(PIECE, values.size() - first));
      if (piece.size_bytes() <= SHM_WHOLE_MAX) {
        sumWhole(piece, call);
      } else {
        sumParts(piece, call);
      }
    }
  }

  void allGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    KJ_REQUIRE(all.size() == mine.size() * size(), "all-gather of unlike sizes", all.size());
    Call call = begin(OperationKind::ALL_GATHER, mine.size());
    forEachPiece(mine.size(), ShmBoard::BUFFER_BYTES, [&](uint64_t first, uint64_t count) {
      std::memcpy(nextBuffer(), mine.data() + first, count);
      meet(call);
      for (uint32_t member = 0; member < size(); ++member) {
        std::memcpy(all.data() + member * mine.size() + first, bufferOf(member), count);
      }
    });
  }

  void broadcast(std::span<std::byte> bytes, uint32_t root) override {
    KJ_REQUIRE(root < size(), "a root outside of the group", root);
    Call call = begin(OperationKind::BROADCAST, bytes.size());
    forEachPiece(bytes.size(), ShmBoard::BUFFER_BYTES, [&](uint64_t first, uint64_t count) {
      std::byte* mine = nextBuffer();
      if (rank() == root) std::memcpy(mine, bytes.data() + first, count);
      meet(call);
      if (rank() != root) std::memcpy(bytes.data() + first, bufferOf(root), count);
    });
  }

  void send(std::span<const std::byte> bytes, uint32_t to) override {
    KJ_REQUIRE(to < size() && to != rank(), "nobody to send to", to);
    Call call = begin(OperationKind::SEND, bytes.size());
    auto& channel = board_.channel(rank(), to);
    forEachPiece(bytes.size(), ShmBoard::CHANNEL_BYTES, [&](uint64_t first, uint64_t count) {
      uint32_t sent = channel.written.count();
      // Both halves may be full; the older one must have been read.
      check(channel.read.wait(sent - (ShmBoard::HALVES - 1), call.patience), call, {to});
      std::memcpy(board_.channelHalf(rank(), to, sent), bytes.data() + first, count);
      channel.written.advance();
    });
  }

  void receive(std::span<std::byte> bytes, uint32_t from) override {
    KJ_REQUIRE(from < size() && from != rank(), "nobody to receive from", from);
    Call call = begin(OperationKind::RECEIVE, bytes.size());
    auto& channel = board_.channel(from, rank());
    forEachPiece(bytes.size(), ShmBoard::CHANNEL_BYTES, [&](uint64_t first, uint64_t count) {
      uint32_t taken = channel.read.count();
      check(channel.written.wait(taken + 1, call.patience), call, {from});
      std::memcpy(bytes.data() + first, board_.channelHalf(from, rank(), taken), count);
      channel.read.advance();
    });
  }

  void abort(std::string why) override {
    board_.breakUp(group_.name + ": " + group_.rankName(rank()) + " gave up: " + why);
  }

 private:
  struct Call {
    Operation operation;
    Patience patience;
  };
  Call begin(OperationKind kind, uint64_t bytes) {
    return {{kind, bytes}, {clock_, clock_.steadyNow() + group_.deadline, spins_}};
  }

  template <class Use>
  static void forEachPiece(uint64_t bytes, uint64_t pieceMax, Use use) {
    for (uint64_t first = 0; first < bytes; first += pieceMax) {
      use(first, std::min(pieceMax, bytes - first));
    }
  }

  // Begins a round. Its buffer of this rank, to be filled before meet().
  std::byte* nextBuffer() { return board_.buffer(rank(), ++round_); }
  // After meet(): what a member wrote in this round.
  const std::byte* bufferOf(uint32_t member) const { return board_.buffer(member, round_); }
  const float* floatsOf(uint32_t member, uint64_t round) const {
    return reinterpret_cast<const float*>(board_.buffer(member, round));
  }

  void sumWhole(std::span<float> values, const Call& call) {
    std::memcpy(nextBuffer(), values.data(), values.size_bytes());
    meet(call);
    sumInOrder(values, size(), [this](uint32_t member) { return floatsOf(member, round_); });
  }

  // Two rounds: everybody's values, then everybody's part of the sum.
  void sumParts(std::span<float> values, const Call& call) {
    std::memcpy(nextBuffer(), values.data(), values.size_bytes());
    meet(call);
    uint64_t valuesRound = round_;
    Part mine = partOf(values.size(), rank(), size());
    auto* sum = reinterpret_cast<float*>(nextBuffer()) + mine.begin;
    sumInOrder({sum, mine.count}, size(),
               [&](uint32_t member) { return floatsOf(member, valuesRound) + mine.begin; });
    meet(call);
    for (uint32_t member = 0; member < size(); ++member) {
      Part part = partOf(values.size(), member, size());
      std::copy_n(floatsOf(member, round_) + part.begin, part.count,
                  values.begin() + static_cast<ptrdiff_t>(part.begin));
    }
  }

  // Ends the writing of this round's buffers and begins the reading.
  void meet(const Call& call) {
    auto& mine = board_.line(rank());
    mine.bytes[round_ % ShmBoard::HALVES].store(call.operation.bytes, std::memory_order_relaxed);
    mine.kind[round_ % ShmBoard::HALVES].store(call.operation.kind, std::memory_order_relaxed);
    mine.round.store(round_, std::memory_order_release);
    if (board_.arrive()) board_.released().advance();
    Waited waited = board_.released().wait(static_cast<uint32_t>(round_), call.patience);
    check(waited, call, waited == Waited::LATE ? whoIsMissing() : std::vector<uint32_t>());
    checkAgreement(call.operation);
  }

  std::vector<uint32_t> whoIsMissing() const {
    std::vector<uint32_t> missing;
    for (uint32_t member = 0; member < size(); ++member) {
      if (board_.line(member).round.load(std::memory_order_acquire) < round_) {
        missing.push_back(member);
      }
    }
    return missing;
  }

  // Members that do unlike things would read each other's bytes as something else.
  void checkAgreement(const Operation& ours) {
    for (uint32_t member = 0; member < size(); ++member) {
      const auto& line = board_.line(member);
      Operation theirs{line.kind[round_ % ShmBoard::HALVES].load(std::memory_order_relaxed),
                       line.bytes[round_ % ShmBoard::HALVES].load(std::memory_order_relaxed)};
      if (theirs == ours) continue;
      breakUp(group_.name + ": " + group_.rankName(member) + " began " + toText(theirs) +
              " where " + group_.rankName(rank()) + " began " + toText(ours));
    }
  }

  void check(Waited waited, const Call& call, std::vector<uint32_t> missing) {
    if (waited == Waited::BROKEN) throw CollectiveBroken(board_.whyBroken());
    if (waited == Waited::LATE) breakUp(lateText(group_, call.operation, missing));
  }

  [[noreturn]] void breakUp(const std::string& why) {
    board_.breakUp(why);
    throw CollectiveBroken(board_.whyBroken());
  }

  Membership group_;
  ShmBoard board_;
  const Clock& clock_;
  uint32_t spins_;
  uint64_t round_ = 0;  // the newest one begun
};

}  // namespace

Spinning spinningFor(uint32_t ranksOfHost) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return Spinning::NEVER;
  return ranksOfHost <= static_cast<uint32_t>(CPU_COUNT(&cores)) ? Spinning::SHORTLY
                                                                 : Spinning::NEVER;
}

kj::Own<Collective> makeShmCollective(Membership group, ShmBoard board, const Clock& clock,
                                      Spinning spinning) {
  return kj::heap<ShmCollective>(std::move(group), std::move(board), clock, spinning);
}

}  // namespace muster::worker
