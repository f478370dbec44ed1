// Messages that go to and come from several peers at once, until all are through.
#pragma once

#include "base/clock.h"
#include "worker/collective/membership.h"
#include "worker/collective/tcp_mesh.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace muster::worker {

// What goes before each message. The receiver knows every field beforehand: whatever differs was
// sent out of turn. Hosts of one group have one byte order, as their floats have.
struct TcpFrame {
  uint32_t magic = 0x3147524d;  // "MRG1"
  uint32_t communicator = 0;
  uint32_t kind = 0;
  uint32_t bytes = 0;     // of this message, modulo 2^32
  uint64_t total = 0;     // of the operation
  uint64_t sequence = 0;  // of this communicator's messages in this direction
  bool operator==(const TcpFrame&) const = default;
};
static_assert(sizeof(TcpFrame) == 32);

// How long to try before sleeping in the kernel; see Spinning.
struct TcpWait {
  const Clock& clock;
  SteadyTime until;
  uint32_t spins = 0;
};

class TcpExchange {
 public:
  TcpExchange(TcpMesh& mesh, const Membership& group, Operation operation, TcpWait wait);

  // Memory that is lent until run() has returned. At most one of each for one member.
  void send(uint32_t member, TcpFrame frame, std::span<const std::byte> bytes);
  void receive(uint32_t member, TcpFrame expected, std::span<std::byte> bytes);

  // Blocks until all is sent and received. Throws CollectiveBroken, after breaking the mesh, when a
  // peer has closed, says something else, or is late.
  void run();

 private:
  struct Transfer {
    uint32_t member = 0;
    int connection = -1;
    bool sending = false;
    TcpFrame frame;     // to be sent, or received
    TcpFrame expected;  // of a receipt
    std::byte* data = nullptr;
    uint64_t bytes = 0;
    uint64_t done = 0;  // of the frame and the bytes together

    bool complete() const { return done == sizeof(TcpFrame) + bytes; }
  };

  bool progress(Transfer& transfer);
  int remaining(Transfer& transfer, struct iovec* pieces) const;
  bool progressAll();
  void sleep();
  void checkFrame(const Transfer& transfer);
  [[noreturn]] void breakUp(const std::string& why);

  TcpMesh& mesh_;
  const Membership& group_;
  Operation operation_;
  TcpWait wait_;
  std::vector<Transfer> transfers_;
};

}  // namespace muster::worker
