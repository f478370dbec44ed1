// Ports of this machine that nobody uses, and that nobody else who draws them so will be given.
#pragma once

#include "base/random.h"

#include <kj/io.h>

#include <cstdint>
#include <vector>

namespace muster {

// Whether nobody listens on `port` of 127.0.0.1.
bool isFree(uint16_t port);

// Holds what it gives: the port itself until letListen(), so that nobody listens on it, and a claim
// to it until this object goes. A claim is the UDP port of the same number, which servers over TCP
// do not miss. While a server that has the port starts, or starts again, the claim keeps others
// from drawing it.
class FreePorts {
 public:
  // A port of 127.0.0.1 below those that the kernel gives by itself (net.ipv4.ip_local_port_range):
  // a server that keeps its port for good must find it free each time it starts, and there no
  // outgoing connection and no port 0 has taken it. The kernel's choice where none is left below.
  // Throws when there is none at all.
  uint16_t any();
  // `port` if it is free, else any().
  uint16_t preferred(uint16_t port);

  // A port that somebody of ours has already. Without effect when it is claimed.
  void claim(uint16_t port);
  void letListen() { held_.clear(); }
  // A process that inherits them holds the claims as well.
  std::vector<int> claims() const;

 private:
  SystemRandom random_;
  std::vector<kj::AutoCloseFd> held_;
  std::vector<kj::AutoCloseFd> claims_;
};

}  // namespace muster
