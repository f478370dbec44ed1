// The connections that carry collectives between ranks on different hosts: each rank listens, those
// with a higher number dial, and nobody is let in without a proof of the generation's secret.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "worker/collective/communicators.h"
#include "worker/engine/native/group.h"

#include <kj/async-io.h>
#include <kj/io.h>
#include <kj/timer.h>

#include <map>
#include <string>
#include <vector>

namespace muster::worker {

class DataPort {
 public:
  virtual ~DataPort() noexcept(false) = default;
  virtual std::string address() const = 0;  // "10.0.0.3:41002", for this rank's card
  // Connections to all of `peers`, or JOIN_TIMEOUT naming who is missing, or NOT_ALLOWED. `cards`:
  // of all ranks. Take once; the port is of no use afterwards.
  using Connections = std::map<RankNumber, kj::AutoCloseFd>;
  virtual kj::Promise<Result<Connections>> connect(std::vector<RankNumber> peers,
                                                   std::vector<RankCard> cards) = 0;
};

// Listens on `address` (an IP address; the kernel gives the port). `network` must be the kernel's.
kj::Promise<kj::Own<DataPort>> openDataPort(kj::Network& network, kj::Timer& timer, Random& random,
                                            GroupTask task, std::string address);

}  // namespace muster::worker
