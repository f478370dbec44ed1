#include "tests/support/free_ports.h"

#include "base/free_ports.h"

namespace muster::support {

std::vector<uint16_t> freePorts(size_t count) {
  FreePorts free;  // holds all at once, so that they differ
  std::vector<uint16_t> ports;
  while (ports.size() < count) ports.push_back(free.any());
  return ports;
}

}  // namespace muster::support
