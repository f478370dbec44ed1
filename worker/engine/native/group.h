// The ranks of one generation meet: rank 0 waits for the others, each proves the generation's
// secret.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "protocol/command.h"
#include "worker/collective/communicators.h"

#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

struct GroupTask {
  RankRef ref;
  uint32_t worldSize = 1;
  GroupSecret secret{};
  Duration joinTimeout = 5_min;
  RankCard card;  // how the others reach this rank
};

// A rank's view of its group.
class Group {
 public:
  virtual ~Group() noexcept(false) = default;
  // Resolves when all ranks are there, or refuses JOIN_TIMEOUT naming who is missing, or
  // NOT_ALLOWED when the other side does not know the secret. Take once.
  virtual kj::Promise<Result<Done>> joined() = 0;
  // Resolves with a sentence when a rank left after all had joined. Take once, after joined().
  virtual kj::Promise<std::string> broken() = 0;
  // How each rank is reached; shape [worldSize], after joined().
  virtual const std::vector<RankCard>& cards() const = 0;
  // Who is there now, as far as this rank knows; ascending.
  virtual std::vector<RankNumber> present() const = 0;
};

// Rank 0's side: listens on `address` (an IP address; the kernel gives the port).
class GroupHost : public Group {
 public:
  virtual std::string rendezvous() const = 0;  // "10.0.0.3:41001"
};
kj::Promise<kj::Own<GroupHost>> hostGroup(kj::Network& network, kj::Timer& timer, Random& random,
                                          GroupTask task, std::string address);

// Another rank's side. Connects to `rendezvous` again and again, with a pause that grows, until it
// is welcome or the join times out.
kj::Own<Group> joinGroup(kj::Network& network, kj::Timer& timer, Random& random, GroupTask task,
                         std::string rendezvous);

}  // namespace muster::worker
