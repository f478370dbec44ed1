// Ports for the servers of tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace muster::support {

// Ports of 127.0.0.1 that nobody listens on, each another one. They lie below those that the kernel
// gives by itself (net.ipv4.ip_local_port_range), so that neither a port 0 nor an outgoing
// connection takes one before its server does.
std::vector<uint16_t> freePorts(size_t count);
inline uint16_t freePort() { return freePorts(1).front(); }

}  // namespace muster::support
