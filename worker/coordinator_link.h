// The connection to one coordinator: dials, attaches, tells how the node is, and starts again when
// it breaks. A worker has one to each coordinator, so that a new leader has all workers at once.
#pragma once

#include "base/backoff.h"
#include "base/clock.h"
#include "base/co.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rpc.h"
#include "base/transport.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/order.h"
#include "protocol/worker.capnp.h"
#include "worker/signal.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <string>

namespace muster::worker {

// What a link asks of its agent, which outlives it.
class LinkOwner {
 public:
  virtual ~LinkOwner() noexcept(false) = default;
  virtual WorkerHello hello() const = 0;
  virtual NodeReport report() = 0;
  // What the coordinator behind this link gives its orders through.
  virtual schema::Agent::Client agentFor(const std::string& coordinator) = 0;
  // Remembers a token; refuses HISTORY_MISMATCH for another cluster's.
  virtual Result<Done> sawToken(const FencingToken& token, const std::string& from) = 0;
  // A heartbeat sent at `sentAt` was answered; the token of the answer has been seen. Returns
  // whether it came from the leader of the highest epoch known.
  virtual bool answered(SteadyTime sentAt, const HeartbeatAnswer& answer) = 0;
  // Whether the leader of the highest epoch known has answered the last heartbeat to it.
  virtual bool isLed() const = 0;
  // Whether any coordinator has this node attached.
  virtual bool isAttached() const = 0;
  // Fired when a leader should hear at once.
  virtual Signal& changes() = 0;
};

struct LinkEnvironment {
  kj::Timer& timer;
  const Clock& clock;
  Random& random;
  Transport& transport;
  Logger logger;
};

// For connecting with all handshakes, and as long again for the answer to a hello. When thousands
// of workers dial a coordinator in one moment, the last of them waits for some seconds; who gave up
// sooner would come again, and the work for its first try would be lost.
constexpr Duration CONNECT_DEADLINE = 15_s;

struct LinkPolicy {
  BackoffPolicy lost{50_ms, 2_s};  // the coordinator is gone, or it takes too long
  // The same while another coordinator leads, or will tell us who does when nobody listens here any
  // more. Nothing is missed meanwhile, a new leader's machines are not kept busy, and of thousands
  // of workers few meet a coordinator that is started again in one moment.
  BackoffPolicy unhurried{20_s, 20_s};
  // But no longer than so many looks at which nobody led: then this one may, and its workers have
  // the lease that a new leader grants.
  Duration ledLook = 1_s;
  uint32_t unledLooksMax = 2;
  BackoffPolicy refused{5_s, 60_s};  // trying again would not help until somebody changes it
  Duration attachDeadline = CONNECT_DEADLINE;
  // As long as a lease. To hang up makes a leader take this node for gone, and to come back costs
  // it what sixteen heartbeats do: so one that is only slow is waited for. A host that is gone is
  // noticed sooner, by the transport.
  Duration heartbeatDeadline = 6_s;
  Duration questionDeadline = 5_s;
  Duration heartbeatMin = 50_ms;  // bounds of what a coordinator may ask for
  Duration heartbeatMax = 5_s;
  Duration changeGap = 20_ms;  // between two heartbeats because of changes
  Duration settled = 5_s;      // a link that held this long starts again quickly
};

enum class LinkState { CONNECTING, ATTACHED, WAITING };

struct LinkStatus {
  std::string address;
  std::string coordinator;  // by its certificate; empty before the first connection
  LinkState state = LinkState::CONNECTING;
  bool leading = false;   // leads in the highest epoch known
  std::string problem;    // why it is not attached; empty when there is none
  uint64_t attempts = 0;  // connections tried so far
};

class CoordinatorLink {
 public:
  // `address`: "host:port" of a coordinator's RPC port. The references in `environment` and `owner`
  // outlive this.
  CoordinatorLink(LinkEnvironment environment, LinkOwner& owner, std::string address,
                  LinkPolicy policy = {});

  // Ends only when it is dropped.
  kj::Promise<void> run() { return runCo(); }
  const LinkStatus& status() const { return status_; }
  // Asks this coordinator where a rank's weights are. Refuses as it does; throws DISCONNECTED while
  // not attached, UNIMPLEMENTED when it is older than the question.
  kj::Promise<Result<WeightSources>> weightSources(RankRef rank);

 private:
  Co<void> runCo();
  Co<void> serve();
  Co<AttachAccepted> attach(schema::Gate::Client gate, schema::WorkerSession::Client* session);
  Co<void> listen(schema::Gate::Client gate, AttachAccepted accepted);
  Co<void> beat(schema::WorkerSession::Client session, Duration interval);
  void take(const HeartbeatAnswer& answer, SteadyTime sentAt);
  kj::Promise<void> nextBeat(uint64_t changesToldOf, Duration interval);
  void attached(const AttachAccepted& accepted);
  Duration ended(const kj::Exception& why);
  Co<void> rest(Duration delay);

  LinkEnvironment environment_;
  LinkOwner& owner_;
  LinkPolicy policy_;
  LinkStatus status_;
  kj::Maybe<schema::WorkerSession::Client> session_;  // while attached
  Signal leads_;  // fired when this coordinator says that it leads now
  SteadyTime attachedAt_;
  Backoff lost_;
  Backoff unhurried_;
  Backoff refused_;
};

}  // namespace muster::worker
