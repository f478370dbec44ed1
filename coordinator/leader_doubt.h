// A leader whose state is not what the log makes is replaced: the others, who have made theirs anew
// from the log, say so in an alarm, and it believes a majority.
#pragma once

#include "base/co.h"
#include "coordinator/coordinator.h"

#include <kj/async.h>

#include <string>
#include <vector>

namespace muster::coordinator {

// What the alarm of a coordinator says that has replayed the log and contradicts this leader.
std::string wordsAgainst(Epoch leader);

// Asks the peers while this coordinator leads, and has it hand over when a majority of all
// configured coordinators contradicts it. As a standby it compares its state with the next leader's
// and makes it anew.
class LeaderDoubt {
 public:
  // All borrowed.
  LeaderDoubt(Coordinator& coordinator, std::vector<PeerAddress> peers)
      : coordinator_(coordinator), peers_(kj::mv(peers)) {}
  KJ_DISALLOW_COPY(LeaderDoubt);

  // Never resolves.
  kj::Promise<void> run() { return runCo(); }

 private:
  Co<void> runCo();
  kj::Promise<size_t> countAgainst(Epoch epoch);

  Coordinator& coordinator_;
  std::vector<PeerAddress> peers_;  // all configured, this one too
};

}  // namespace muster::coordinator
