// Who leads: candidates in line, takeover by one multi, hand-over. Section 3 of the design, rule by
// rule.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "failover/bootstrap.h"
#include "failover/coordination.h"
#include "failover/epoch_view.h"
#include "failover/leadership.h"
#include "failover/log_reader.h"
#include "failover/paths.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <functional>
#include <string>

namespace muster::failover {

struct ContenderIdentity {
  ClusterName cluster;
  CoordinatorId id;
  Incarnation incarnation;
  std::string rpcAddress;
};

// One coordinator's part in the election on one session. The caller follows the log and says when
// it has caught up; only then does the contender stand as a candidate.
class Contender {
 public:
  Contender(CoordinationSession& session, kj::Timer& timer, const Clock& clock, Random& random,
            ContenderIdentity identity);
  ~Contender() noexcept(false);

  // Creates the candidate (adopting one whose creation's answer was lost), keeps it, and resolves
  // when this coordinator has taken over: `epoch` names our guid and session. Rejected with
  // DISCONNECTED when the session ends. `elected.reason` says why ("session of co1 ended", "first
  // leader", "handed over by co2").
  struct Elected {
    EpochView view;  // ours, with the znode version our takeover returned
    std::string reason;
    SteadyTime takeoverSent;  // no later than when the takeover was sent: the first base of leases
  };
  kj::Promise<Elected> campaign();

  // The newest view of `epoch`, kept by a watch and a second look every 5 s; the handler hears each
  // change.
  const kj::Maybe<EpochView>& view() const;
  void onView(std::function<void(const EpochView&)> handler);

  // Turns a won election into a leadership after the caller has read the log to its end (`end`,
  // judged on this same session after the takeover).
  kj::Own<Leadership> lead(const Elected& elected, LogPosition end,
                           std::function<BatchTimes()> times, AppendOptions options);

 private:
  struct Impl;
  kj::Own<Impl> impl_;
};

}  // namespace muster::failover
