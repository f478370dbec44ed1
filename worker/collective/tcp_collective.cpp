#include "worker/collective/tcp_collective.h"

#include "worker/collective/reduction.h"
#include "worker/collective/tcp_exchange.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

// Up to here the bytes that one rank sends when everybody gets the whole message.
constexpr uint64_t TCP_WHOLE_MAX = 256 << 10;
// Looks into the sockets before sleeping, of about 0.3 us each.
constexpr uint32_t TCP_SPINS = 60;

class TcpCollective final : public Collective {
 public:
  TcpCollective(Membership group, uint32_t communicator, TcpMesh& mesh, const Clock& clock,
                Spinning spinning)
      : group_(std::move(group)),
        communicator_(communicator),
        mesh_(mesh),
        clock_(clock),
        spins_(spinning == Spinning::SHORTLY ? TCP_SPINS : 0),
        sent_(group_.size()),
        received_(group_.size()) {}

  uint32_t rank() const override { return group_.self; }
  uint32_t size() const override { return group_.size(); }

  void allReduceSum(std::span<float> values) override {
    Operation operation{OperationKind::ALL_REDUCE, values.size_bytes()};
    if (values.empty()) return;
    if (size() == 2 || values.size_bytes() * (size() - 1) <= TCP_WHOLE_MAX) {
      sumWhole(values, operation);
    } else {
      sumParts(values, operation);
    }
  }

  void allGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    KJ_REQUIRE(all.size() == mine.size() * size(), "all-gather of unlike sizes", all.size());
    Operation operation{OperationKind::ALL_GATHER, mine.size()};
    TcpExchange exchange = begin(operation);
    forEachPeer([&](uint32_t peer) {
      exchange.send(peer, nextOut(peer, operation, mine.size()), mine);
      exchange.receive(peer, nextIn(peer, operation, mine.size()),
                       all.subspan(peer * mine.size(), mine.size()));
    });
    exchange.run();
    std::memcpy(all.data() + rank() * mine.size(), mine.data(), mine.size());
  }

  void broadcast(std::span<std::byte> bytes, uint32_t root) override {
    KJ_REQUIRE(root < size(), "a root outside of the group", root);
    Operation operation{OperationKind::BROADCAST, bytes.size()};
    TcpExchange exchange = begin(operation);
    if (rank() == root) {
      forEachPeer([&](uint32_t peer) {
        exchange.send(peer, nextOut(peer, operation, bytes.size()), bytes);
      });
    } else {
      exchange.receive(root, nextIn(root, operation, bytes.size()), bytes);
    }
    exchange.run();
  }

  void send(std::span<const std::byte> bytes, uint32_t to) override {
    KJ_REQUIRE(to < size() && to != rank(), "nobody to send to", to);
    Operation operation{OperationKind::SEND, bytes.size()};
    TcpExchange exchange = begin(operation);
    exchange.send(to, nextOut(to, operation, bytes.size()), bytes);
    exchange.run();
  }

  void receive(std::span<std::byte> bytes, uint32_t from) override {
    KJ_REQUIRE(from < size() && from != rank(), "nobody to receive from", from);
    Operation operation{OperationKind::SEND, bytes.size()};  // as the other side calls it
    TcpExchange exchange = begin(operation);
    exchange.receive(from, nextIn(from, operation, bytes.size()), bytes);
    exchange.run();
  }

  void abort(std::string why) override {
    mesh_.breakUp(group_.name + ": " + group_.rankName(rank()) + " gave up: " + why);
  }

 private:
  TcpExchange begin(const Operation& operation) {
    return {mesh_, group_, operation, {clock_, clock_.steadyNow() + group_.deadline, spins_}};
  }
  TcpFrame frame(const Operation& operation, uint64_t bytes, uint64_t sequence) const {
    return {.communicator = communicator_,
            .kind = static_cast<uint32_t>(operation.kind),
            .bytes = static_cast<uint32_t>(bytes),
            .total = operation.bytes,
            .sequence = sequence};
  }
  TcpFrame nextOut(uint32_t peer, const Operation& operation, uint64_t bytes) {
    return frame(operation, bytes, ++sent_[peer]);
  }
  TcpFrame nextIn(uint32_t peer, const Operation& operation, uint64_t bytes) {
    return frame(operation, bytes, ++received_[peer]);
  }

  // Starting with the next rank, so that not all begin with rank 0.
  template <class Use>
  void forEachPeer(Use use) {
    for (uint32_t step = 1; step < size(); ++step) use((rank() + step) % size());
  }

  // Exchanges floats with every peer: `out(peer)` goes there; what comes, `count` of them, lands in
  // `inbox_` in the order of the members.
  template <class Out>
  void exchangeFloats(const Operation& operation, uint64_t count, Out out) {
    inbox_.resize(count * size());
    TcpExchange exchange = begin(operation);
    forEachPeer([&](uint32_t peer) {
      auto bytes = std::as_bytes(out(peer));
      exchange.send(peer, nextOut(peer, operation, bytes.size()), bytes);
      auto in = std::as_writable_bytes(std::span(inbox_).subspan(peer * count, count));
      exchange.receive(peer, nextIn(peer, operation, in.size()), in);
    });
    exchange.run();
  }

  void sumWhole(std::span<float> values, const Operation& operation) {
    exchangeFloats(operation, values.size(), [&](uint32_t) { return std::span(values); });
    sumWithInbox(values);
  }

  // Everybody adds up its own part, then hands the sum round.
  void sumParts(std::span<float> values, const Operation& operation) {
    auto partOfMember = [&](uint32_t member) {
      Part part = partOf(values.size(), member, size());
      return values.subspan(part.begin, part.count);
    };
    std::span<float> mine = partOfMember(rank());
    exchangeFloats(operation, mine.size(), partOfMember);
    sumWithInbox(mine);
    TcpExchange exchange = begin(operation);
    forEachPeer([&](uint32_t peer) {
      auto theirs = std::as_writable_bytes(partOfMember(peer));
      exchange.send(peer, nextOut(peer, operation, mine.size_bytes()), std::as_bytes(mine));
      exchange.receive(peer, nextIn(peer, operation, theirs.size()), theirs);
    });
    exchange.run();
  }

  // `values` becomes the sum of itself and what the peers sent, in the order of the members.
  void sumWithInbox(std::span<float> values) {
    sumInOrder(values, size(), [&](uint32_t member) -> const float* {
      return member == rank() ? values.data() : inbox_.data() + member * values.size();
    });
  }

  Membership group_;
  uint32_t communicator_;
  TcpMesh& mesh_;
  const Clock& clock_;
  uint32_t spins_;
  std::vector<uint64_t> sent_;      // messages to each member
  std::vector<uint64_t> received_;  // and from it
  std::vector<float> inbox_;        // grows to the largest message, then stays
};

}  // namespace

kj::Own<Collective> makeTcpCollective(Membership group, uint32_t communicator, TcpMesh& mesh,
                                      const Clock& clock, Spinning spinning) {
  return kj::heap<TcpCollective>(std::move(group), communicator, mesh, clock, spinning);
}

}  // namespace muster::worker
