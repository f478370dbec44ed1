#include "tests/support/free_ports.h"

#include "base/free_ports.h"

namespace muster::support {

std::vector<uint16_t> freePorts(size_t count) {
  // Claimed until this program ends: its servers are killed and started again.
  static FreePorts free;
  std::vector<uint16_t> ports;
  while (ports.size() < count) ports.push_back(free.any());
  free.letListen();
  return ports;
}

}  // namespace muster::support
