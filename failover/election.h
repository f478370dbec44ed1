// Who leads: candidates in line, takeover by one multi, hand-over. Section 3 of the design, rule by
// rule.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "failover/bootstrap.h"
#include "failover/coordination.h"
#include "failover/death_rules.h"
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
  // An epoch that has been, whatever ZooKeeper says: a takeover makes a higher one. May be empty.
  std::function<Epoch()> epochFloor = nullptr;
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
    bool onGuess = false;     // the leader before was taken for dead, its session had not ended
  };
  kj::Promise<Elected> campaign();

  // The newest view of `epoch`, kept by a watch and a second look every 5 s; the handler hears each
  // change.
  const kj::Maybe<EpochView>& view() const;
  void onView(std::function<void(const EpochView&)> handler);

  // Hears which coordinator stands in the line as leader, each time it is another or another's
  // epoch. Only while this contender stands.
  void onLeaderInLine(std::function<void(const LeaderInLine&)> handler);

  // Called right behind the sending of what may make us the leader, each time: a takeover, or the
  // reading of an epoch that may have been handed to us. Who sends reads on the session then has
  // the answers of a leader, without another round trip, if that is what we turn out to be.
  void onMayBeElected(std::function<void()> handler);

  // Whether we could commit just now: a multi that checks the epoch of the newest view and our own
  // candidate. False also when its outcome is unknown.
  kj::Promise<bool> proveCommit();

  // Takes over from the leader of `epoch` although its candidate stands: at once when we are the
  // next in line, in our turn otherwise. Without effect on any other epoch, or while we do not
  // stand. `why` is the reason of the new leadership.
  void guessDead(Epoch epoch, std::string why);

  // Turns a won election into a leadership after the caller has read the log to its end (`end`,
  // judged on this same session after the takeover).
  kj::Own<Leadership> lead(const Elected& elected, LogPosition end,
                           std::function<BatchTimes()> times, AppendOptions options);

 private:
  struct Impl;
  kj::Own<Impl> impl_;
};

}  // namespace muster::failover
