// Ports of this machine that nobody uses. They are held until this object goes, so that none is
// given twice.
#pragma once

#include "base/random.h"

#include <kj/io.h>

#include <cstdint>
#include <vector>

namespace muster {

// Whether nobody listens on `port` of 127.0.0.1.
bool isFree(uint16_t port);

class FreePorts {
 public:
  // A port of 127.0.0.1 below those that the kernel gives by itself (net.ipv4.ip_local_port_range):
  // a server that keeps its port for good must find it free each time it starts, and there no
  // outgoing connection and no port 0 has taken it. The kernel's choice where none is left below.
  // Throws when there is none at all.
  uint16_t any();
  // `port` if it is free, else any().
  uint16_t preferred(uint16_t port);

 private:
  SystemRandom random_;
  std::vector<kj::AutoCloseFd> held_;
};

}  // namespace muster
