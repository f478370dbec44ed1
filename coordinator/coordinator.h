// A coordinator: serves its RPC port, follows the log, stands for election, leads. What the API
// needs is public here.
#pragma once

#include "base/rpc.h"
#include "base/tasks.h"
#include "coordinator/coordinator_facts.h"
#include "coordinator/death_watch.h"
#include "coordinator/environment.h"
#include "coordinator/follower.h"
#include "coordinator/gate.h"
#include "coordinator/index_waiters.h"
#include "coordinator/leadership_news.h"
#include "coordinator/session_role.h"
#include "coordinator/worker_calls.h"
#include "coordinator/worker_gate.h"
#include "coordinator/worker_registry.h"

#include <kj/async.h>

#include <optional>
#include <string>

namespace muster::coordinator {

constexpr Duration AGE_UNKNOWN = 60'000'000_min;

// Shorter losses of the coordination service only make callers wait.
constexpr Duration CUT_OFF_TOLD = 2_s;

class Coordinator final : public WorkerAuthority {
 public:
  // `environment` is borrowed and outlives this. `makeApi` may be empty, or set later by
  // serveApi().
  Coordinator(CoordinatorEnvironment environment, CoordinatorSettings settings);
  ~Coordinator() noexcept(false) override;
  KJ_DISALLOW_COPY(Coordinator);

  // Makes the capability of the ClusterApi interface for each caller. Call before start().
  void serveApi(ApiFactory makeApi) { makeApi_ = kj::mv(makeApi); }

  // Reads what an earlier life has left in the store, if anything: enough for stale reads before
  // the coordination service is reached. Throws UNIMPLEMENTED when this binary is too old for it,
  // FAILED when it is damaged.
  void openStore();
  // Opens the store and listens. Throws FAILED ("E0706 ...") when the port is taken. Resolves with
  // the real address.
  kj::Promise<std::string> start();
  // Runs until shutDown() is done. Rejected (FAILED) when this coordinator must stop; the text says
  // why.
  kj::Promise<void> run();
  // Hands over when leading, ends the session, and lets run() resolve.
  kj::Promise<void> shutDown();

  // --- what the API reads and does ---

  const CoordinatorFacts& facts();
  const CoordinatorSettings& settings() const { return settings_; }
  const CoordinatorEnvironment& environment() const { return environment_; }
  // The newest state here. On a leader it runs ahead of the log: make a linearizable answer by
  // Driver::read(); for a stale one take it from here at once, and let it leave when
  // stateMayLeave() resolves.
  const State& state() const { return follower_.state(); }
  // False until this process has read its store: state() is empty then, and no answer.
  bool hasState() const { return follower_.isOpen(); }
  // Resolves when what state() holds now is committed. Rejected with DISCONNECTED when that will
  // never be known.
  kj::Promise<void> stateMayLeave();
  // While serving as leader. The reference holds until the next turn of the event loop.
  kj::Maybe<Driver&> driver();
  // What the leader sees of its workers; nothing unless serving.
  const Observed* observed();
  // What `epoch` last said; nothing before the tree was seen.
  const std::optional<failover::EpochView>& view() const { return view_; }
  Instant clusterNow() const { return clusterClock_.now(); }
  // Age of a stale answer: since state() was last proven to be the newest. AGE_UNKNOWN before that
  // has happened in this process.
  Duration age();
  // Resolves when an index above `after` is committed and applied here.
  kj::Promise<void> committedAfter(LogIndex after) { return waiters_.after(after); }
  const WorkerCalls& workerCalls() const { return workerCalls_; }
  const WorkerRegistry& workers() const { return registry_; }
  // What an attached worker finds in the model, logged, or what is logged already. Leader only:
  // else NOT_LEADER.
  kj::Promise<Result<ModelManifest>> ensureModel(std::string source);
  // Refuses NOT_LEADER, and NOT_FOUND when no such candidate stands in line. Empty: the next in
  // line.
  kj::Promise<Result<Done>> stepDown(CoordinatorId successor);
  // Called with the events of each committed batch.
  void onEvents(std::function<void(const std::vector<Event>&)> handler);
  Refusal notLeader() const;
  // Why nothing can be changed and no newest state be proven here now: the coordination service was
  // not reached for CUT_OFF_TOLD. Nothing while it is.
  std::optional<Refusal> cutOff() const;
  // Resolves as soon as cutOff() says something. For calls that wait for the log: they must not
  // hang.
  kj::Promise<void> whenCutOff() { return cutOffFork_.addBranch(); }

  // --- WorkerAuthority ---
  const ClusterName& cluster() const override { return settings_.cluster; }
  const CoordinatorId& id() const override { return settings_.id; }
  FencingToken token() const override { return known_; }
  bool leading() const override;
  void sawToken(const FencingToken& token, const NodeName& from) override;
  Duration extendLease(const NodeName& node) override;
  kj::Promise<Result<WeightSources>> weightSources(NodeName node, RankRef rank) override;

 private:
  Co<void> runCo();
  Co<void> watchCutOff();
  void takeBack();
  bool noteTrouble(const std::optional<Trouble>& trouble);
  kj::Promise<kj::Maybe<kj::Exception>> runSession();
  SessionRole::Parts roleParts();
  kj::Own<DeathWatch> makeDeathWatch();
  Co<void> shutDownCo();
  Co<Result<ModelManifest>> ensureModelCo(std::string source);
  kj::Maybe<Leading&> leadership();
  capnp::Capability::Client bootstrapFor(const RpcPeer& peer);
  void describe(schema::ServerInfo::Builder info);
  void describeTrouble(schema::ServerInfo::Builder info);
  void describePosition(schema::Position::Builder position);
  void describe(schema::PeerState::Builder state);
  void takeToken(const FencingToken& token, const std::string& from);
  void noteNews();
  Epoch epochFloor() const;
  void tookView(const failover::EpochView& view);

  CoordinatorEnvironment environment_;
  CoordinatorSettings settings_;
  Incarnation incarnation_;
  ApiFactory makeApi_;
  CoordinatorFacts facts_;
  ClusterClock clusterClock_;
  Follower follower_;
  WorkerRegistry registry_;
  WorkerCalls workerCalls_;
  IndexWaiters waiters_;
  std::function<void(const std::vector<Event>&)> onEvents_;
  std::optional<failover::EpochView> view_;
  FencingToken known_;
  LeadershipNews news_;
  std::optional<SteadyTime> freshAt_;
  bool leaving_ = false;
  Duration farewell_;  // how long it stays when it is told to leave
  kj::PromiseFulfillerPair<void> cutOffPair_;
  kj::ForkedPromise<void> cutOffFork_;
  kj::Own<DeathWatch> deathWatch_;
  kj::Own<SessionRole> role_;
  RpcServer server_;
  kj::Own<Listener> listener_;
  kj::PromiseFulfillerPair<void> stopped_;
  Tasks tasks_;
};

}  // namespace muster::coordinator
