#include "worker/collective/communicators.h"

#include "worker/collective/shm_board.h"
#include "worker/collective/shm_collective.h"
#include "worker/collective/tcp_collective.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <unistd.h>
#include <utility>

namespace muster::worker {
namespace {

constexpr uint64_t MARK_BYTES = 4096;  // the page that holds the mark

enum Kind : uint32_t { WORLD, TENSOR, PIPELINE, KINDS };

// The communicator of `kind` that `rank` belongs to.
Membership membershipOf(const GroupShape& shape, Kind kind, uint32_t rank) {
  Membership group{.name = "the world of all ranks", .ranks = {}, .deadline = shape.deadline};
  uint32_t stage = rank / shape.tensor;
  uint32_t index = rank % shape.tensor;
  if (kind == TENSOR) group.name = "the tensor group of stage " + std::to_string(stage);
  if (kind == PIPELINE) group.name = "the pipeline of tensor index " + std::to_string(index);
  for (uint32_t other = 0; other < shape.worldSize; ++other) {
    bool member = kind == WORLD || (kind == TENSOR && other / shape.tensor == stage) ||
                  (kind == PIPELINE && other % shape.tensor == index);
    if (!member) continue;
    if (other == rank) group.self = group.size();
    group.ranks.push_back({other});
  }
  return group;
}

bool onOneHost(const Membership& group, const std::vector<RankCard>& cards) {
  const std::string& host = cards[group.ranks[0].value].host;
  return !host.empty() && std::all_of(group.ranks.begin(), group.ranks.end(), [&](RankNumber rank) {
    return cards[rank.value].host == host;
  });
}

bool sharesMemory(const Membership& group, const std::vector<RankCard>& cards) {
  return group.size() > 1 && onOneHost(group, cards);
}

// A communicator's board lies in the memory of its first rank, behind those boards of earlier kinds
// that this rank leads as well. Everybody computes the same place.
uint64_t boardOffset(const GroupShape& shape, Kind kind, uint32_t leader,
                     const std::vector<RankCard>& cards) {
  uint64_t offset = MARK_BYTES;
  for (uint32_t earlier = 0; earlier < kind; ++earlier) {
    Membership group = membershipOf(shape, static_cast<Kind>(earlier), leader);
    bool leads = group.ranks[0].value == leader;
    if (leads && sharesMemory(group, cards)) offset += ShmBoard::bytesFor(group.size());
  }
  return offset;
}

void checkMark(const SharedMemory& memory, const MemoryMark& mark, RankNumber owner) {
  KJ_REQUIRE(memory.size() >= MARK_BYTES, "a rank's shared memory has no mark", owner.value);
  SharedMapping page(memory, 0, MARK_BYTES);
  KJ_REQUIRE(std::memcmp(page.bytes().data(), mark.data(), mark.size()) == 0,
             "a rank's shared memory is not of this group", owner.value);
}

uint32_t ranksOfHost(const std::string& host, const std::vector<RankCard>& cards) {
  return static_cast<uint32_t>(std::count_if(
      cards.begin(), cards.end(), [&](const RankCard& card) { return card.host == host; }));
}

ShmBoard openBoard(const GroupShape& shape, Kind kind, const Membership& group,
                   const Communicators::Parts& parts) {
  RankNumber leader = group.ranks[0];
  SharedMemory memory = SharedMemory::open(parts.cards[leader.value].memory);
  checkMark(memory, parts.marks[leader.value], leader);
  uint64_t offset = boardOffset(shape, kind, leader.value, parts.cards);
  memory.grow(offset + ShmBoard::bytesFor(group.size()));
  return {memory, offset, group.size()};
}

kj::Own<Collective> makeCollective(const GroupShape& shape, Kind kind,
                                   const Communicators::Parts& parts, TcpMesh& mesh,
                                   const Clock& clock) {
  Membership group = membershipOf(shape, kind, shape.self);
  Spinning spinning = spinningFor(ranksOfHost(parts.cards[shape.self].host, parts.cards));
  if (sharesMemory(group, parts.cards)) {
    ShmBoard board = openBoard(shape, kind, group, parts);
    return makeShmCollective(std::move(group), std::move(board), clock, spinning);
  }
  return makeTcpCollective(std::move(group), kind, mesh, clock, spinning);
}

std::string linkTarget(const char* path) {
  char target[256];
  ssize_t length = ::readlink(path, target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : std::string();
}

}  // namespace

std::string hostIdentity() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  std::string space = linkTarget("/proc/self/ns/pid");
  if (boot.empty() || space.empty()) return "";
  return boot + " " + space + " user:" + std::to_string(::geteuid());
}

void writeMark(SharedMemory& memory, const MemoryMark& mark) {
  memory.grow(MARK_BYTES);
  SharedMapping page(memory, 0, MARK_BYTES);
  std::memcpy(page.bytes().data(), mark.data(), mark.size());
}

std::vector<RankNumber> peersByTcp(const GroupShape& shape, const std::vector<RankCard>& cards) {
  std::set<RankNumber> peers;
  for (uint32_t kind = 0; kind < KINDS; ++kind) {
    Membership group = membershipOf(shape, static_cast<Kind>(kind), shape.self);
    if (sharesMemory(group, cards)) continue;
    peers.insert(group.ranks.begin(), group.ranks.end());
  }
  peers.erase({shape.self});
  return {peers.begin(), peers.end()};
}

Communicators::Communicators(const GroupShape& shape, Parts parts, const Clock& clock)
    : memory_(kj::mv(parts.memory)), mesh_(std::move(parts.connections)) {
  world_ = makeCollective(shape, WORLD, parts, mesh_, clock);
  tensor_ = makeCollective(shape, TENSOR, parts, mesh_, clock);
  pipeline_ = makeCollective(shape, PIPELINE, parts, mesh_, clock);
}

void Communicators::abort(const std::string& why) {
  world_->abort(why);
  tensor_->abort(why);
  pipeline_->abort(why);
  mesh_.breakUp(why);
}

}  // namespace muster::worker
