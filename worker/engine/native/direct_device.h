// A device on whose memory collectives can work without going through the host's.
#pragma once

#include "base/units.h"
#include "worker/collective/collective.h"

#include <kj/memory.h>

#include <string>

namespace muster::worker {

class DirectDevice {
 public:
  virtual ~DirectDevice() noexcept(false) = default;
  virtual std::string uuid() const = 0;  // never empty
  // Among the ranks of `host`, each on a device of its own. All of them call it together, since
  // they exchange over `host` how they reach each other. `deadline`: of the meeting and of each
  // operation. Throws CollectiveBroken when not all ranks come. Must not outlive the device.
  virtual kj::Own<Collective> makeCollective(Collective& host, Duration deadline) = 0;
};

}  // namespace muster::worker
