#include "coordinator/coordinator.h"

#include "base/backoff.h"
#include "base/kj_time.h"
#include "coordinator/weight_sources.h"
#include "protocol/codec.h"
#include "protocol/schema_level.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr Duration HAND_OVER_DEADLINE = 5_s;
constexpr Duration CLOSE_DEADLINE = 2_s;
// How long one that led stays when it has handed over: its callers hear who leads over connections
// that stand, and the end of a process and of its connections takes no core from the next leader's
// first milliseconds.
constexpr Duration FAREWELL = 200_ms;
constexpr Duration CUT_OFF_LOOK = 250_ms;

kj::String cannotListen(const std::string& address, kj::StringPtr why) {
  bool taken = std::string_view(why.cStr()).find("in use") != std::string_view::npos;
  if (taken) return kj::str("E0706 another program listens on ", address.c_str(), ", rpc.listen");
  return kj::str("E0706 cannot listen on ", address.c_str(), ", rpc.listen: ", why);
}

bool mayTryAgain(const kj::Exception& exception) {
  return exception.getType() == kj::Exception::Type::DISCONNECTED ||
         exception.getType() == kj::Exception::Type::OVERLOADED;
}

}  // namespace

Coordinator::Coordinator(CoordinatorEnvironment environment, CoordinatorSettings settings)
    : environment_(environment),
      settings_(kj::mv(settings)),
      incarnation_(environment.random.guid()),
      clusterClock_(environment.clock, Instant{}),
      follower_(environment.store, facts_, environment.logger),
      registry_(environment.clock),
      workerCalls_(environment.timer, registry_),
      news_(environment.timer),
      cutOffPair_(kj::newPromiseAndFulfiller<void>()),
      cutOffFork_(cutOffPair_.promise.fork()),
      server_(environment.timer, [this](const RpcPeer& peer) { return bootstrapFor(peer); }),
      stopped_(kj::newPromiseAndFulfiller<void>()),
      tasks_("coordinator") {
  deathWatch_ = makeDeathWatch();
  follower_.onEvents([this](const std::vector<Event>& events) {
    if (onEvents_) onEvents_(events);
  });
}

Coordinator::~Coordinator() noexcept(false) = default;

void Coordinator::openStore() {
  auto meta = environment_.store.meta();
  if (!meta || meta->cluster != settings_.cluster)
    return;  // another's is told of when it is claimed
  KJ_IF_MAYBE (broken,
               kj::runCatchingExceptions([&] { follower_.open(meta->cluster, meta->history); })) {
    if (!follower_.damage()) kj::throwFatalException(kj::mv(*broken));
    return;  // it is made anew before it serves anything
  }
  known_ = std::max(known_, FencingToken{meta->history, state().epoch});
}

kj::Promise<std::string> Coordinator::start() {
  openStore();
  return environment_.transport.listen(settings_.rpcListen, server_.acceptor())
      .catch_([this](kj::Exception&& exception) -> kj::Own<Listener> {
        kj::throwFatalException(
            KJ_EXCEPTION(FAILED, cannotListen(settings_.rpcListen, exception.getDescription())));
      })
      .then([this](kj::Own<Listener> listener) {
        listener_ = kj::mv(listener);
        if (settings_.rpcAdvertised.empty()) settings_.rpcAdvertised = listener_->address();
        return listener_->address();
      });
}

kj::Own<DeathWatch> Coordinator::makeDeathWatch() {
  auto sawToken = [this](const FencingToken& token, const CoordinatorId& from) {
    takeToken(token, "coordinator " + from.value + " knows");
  };
  return kj::heap<DeathWatch>(DeathWatch::Parts{environment_, settings_, facts_, sawToken});
}

kj::Promise<void> Coordinator::run() {
  tasks_.add(watchCutOff());
  return runCo();
}

Co<void> Coordinator::watchCutOff() {
  bool told = false;
  for (;;) {
    co_await environment_.timer.afterDelay(toKj(CUT_OFF_LOOK));
    bool isCutOff = cutOff().has_value();
    if (isCutOff && !told) {
      environment_.logger.warn("no answers that need ZooKeeper", {{"why", cutOff()->text}});
      cutOffPair_.fulfiller->fulfill();
    } else if (!isCutOff && told) {
      environment_.logger.info("ZooKeeper is reached again");
      cutOffPair_ = kj::newPromiseAndFulfiller<void>();
      cutOffFork_ = cutOffPair_.promise.fork();
    }
    told = isCutOff;
  }
}

std::optional<Refusal> Coordinator::cutOff() const {
  if (!facts_.cutOffSince) return std::nullopt;
  Duration away = environment_.clock.steadyNow() - *facts_.cutOffSince;
  if (away < CUT_OFF_TOLD) return std::nullopt;
  return Refusal{RefusalCode::STORE_UNREACHABLE,
                 "coordinator " + settings_.id.value + " has not reached ZooKeeper for " +
                     toAge(away) + ": nothing is changed, and nothing newest can be proven",
                 {},
                 {"what serves goes on; --stale reads what this coordinator knows"}};
}

Co<void> Coordinator::runCo() {
  Backoff backoff(BackoffPolicy{10_ms, 2_s}, environment_.random);
  while (!leaving_) {
    uint64_t elections = facts_.elections;
    auto failed = co_await runSession();
    auto trouble = role_->trouble();
    role_ = nullptr;
    facts_.stage = Stage::STANDBY;
    facts_.session = failover::SessionState::ENDED;
    noteNews();
    takeBack();
    KJ_IF_MAYBE (exception, failed) {
      bool isAlarm = noteTrouble(trouble);
      if (!isAlarm && !mayTryAgain(*exception)) {
        facts_.alarm = exception->getDescription().cStr();
        kj::throwFatalException(kj::mv(*exception));
      }
      environment_.logger.info("session over", {{"why", exception->getDescription()}});
    }
    if (leaving_) break;
    if (facts_.elections != elections) backoff.reset();
    co_await environment_.timer.afterDelay(toKj(backoff.next()));
  }
  co_await environment_.timer.afterDelay(toKj(farewell_));
  stopped_.fulfiller->fulfill();
}

// In the same turn as the end of the role: nobody reads what was never committed.
void Coordinator::takeBack() {
  KJ_IF_MAYBE (broken, kj::runCatchingExceptions([this] { follower_.takeBack(); })) {
    if (!follower_.damage()) kj::throwFatalException(kj::mv(*broken));
  }
}

// An alarm is no reason to stop: the next session looks again, and what serves goes on.
bool Coordinator::noteTrouble(const std::optional<Trouble>& trouble) {
  std::optional<Trouble> found = trouble;
  if (!found && follower_.damage()) {
    found = Trouble{AlarmKind::STATE_DIVERGED,
                    "this coordinator's state is not what the log makes: " + *follower_.damage() +
                        ". It is dropped and made again from the log"};
  }
  if (!found) return false;
  if (facts_.alarms.raise(found->kind, found->text)) {
    environment_.logger.error("alarm", {{"alarm", toText(found->kind)}, {"text", found->text}});
  }
  return true;
}

kj::Promise<kj::Maybe<kj::Exception>> Coordinator::runSession() {
  using Ended = kj::Maybe<kj::Exception>;
  role_ = kj::heap<SessionRole>(roleParts(), environment_.coordination.open());
  return role_->run()
      .then([]() -> Ended { return nullptr; })
      .catch_([](kj::Exception&& exception) -> Ended { return kj::mv(exception); });
}

SessionRole::Parts Coordinator::roleParts() {
  auto events = [this](const std::vector<Event>& events) {
    if (onEvents_) onEvents_(events);
  };
  Leading::Parts leading{environment_,
                         settings_.id,
                         incarnation_,
                         clusterClock_,
                         follower_,
                         facts_,
                         registry_,
                         *this,
                         [this] { waiters_.note(facts_.committedIndex); },
                         events,
                         [this] { noteNews(); },
                         settings_};
  failover::ContenderIdentity identity{settings_.cluster, settings_.id, incarnation_,
                                       settings_.rpcAdvertised, [this] { return epochFloor(); }};
  return SessionRole::Parts{kj::mv(leading),
                            kj::mv(identity),
                            [this](const failover::EpochView& view) { tookView(view); },
                            [this] { freshAt_ = environment_.clock.steadyNow(); },
                            *deathWatch_,
                            settings_.snapshots};
}

// ZooKeeper may have lost a takeover: its epoch must not be given twice.
Epoch Coordinator::epochFloor() const {
  auto meta = environment_.store.meta();
  Epoch floor = meta ? meta->applied.epoch : Epoch{};
  if (meta && meta->history == known_.history) floor = std::max(floor, known_.epoch);
  return floor;
}

void Coordinator::tookView(const failover::EpochView& view) {
  view_ = view;
  known_ = std::max(known_, FencingToken{view.history, view.epoch});
  noteNews();
}

// Between its election and the moment it serves a coordinator has nothing to say that would help
// anybody.
void Coordinator::noteNews() {
  if (facts_.stage == Stage::ELECTED || facts_.stage == Stage::CAUGHT_UP) return;
  news_.note({known_.epoch, facts_.stage == Stage::SERVING});
}

kj::Promise<void> Coordinator::shutDown() { return shutDownCo(); }

Co<void> Coordinator::shutDownCo() {
  leaving_ = true;
  if (leading()) {
    farewell_ = FAREWELL;
    auto done = stepDown(CoordinatorId{}).then([](Result<Done>) {}, [](kj::Exception&&) {});
    auto late = environment_.timer.afterDelay(toKj(HAND_OVER_DEADLINE));
    co_await done.exclusiveJoin(kj::mv(late));
  }
  if (role_.get() == nullptr) {  // between two sessions: run() sees that we leave
    co_await environment_.timer.afterDelay(toKj(farewell_));
    co_return;
  }
  role_->close();
  auto late = environment_.timer.afterDelay(toKj(CLOSE_DEADLINE));
  co_await stopped_.promise.exclusiveJoin(kj::mv(late));
}

const CoordinatorFacts& Coordinator::facts() { return facts_; }

kj::Maybe<Leading&> Coordinator::leadership() {
  if (role_.get() == nullptr) return nullptr;
  return role_->leading();
}

kj::Promise<void> Coordinator::stateMayLeave() {
  KJ_IF_MAYBE (leading, leadership()) return leading->driver().mayLeave(ReadMode::COMMITTED);
  return kj::READY_NOW;
}

kj::Maybe<Driver&> Coordinator::driver() {
  KJ_IF_MAYBE (leading, leadership()) {
    if (leading->serving()) return leading->driver();
  }
  return nullptr;
}

const Observed* Coordinator::observed() {
  KJ_IF_MAYBE (leading, leadership()) return leading->observed();
  return nullptr;
}

bool Coordinator::leading() const { return facts_.stage == Stage::SERVING; }

Duration Coordinator::age() {
  std::optional<SteadyTime> fresh = freshAt_;
  KJ_IF_MAYBE (leading, leadership()) {
    // Whoever leads no more without knowing it has checks that do not commit.
    if (leading->serving()) fresh = leading->leadership().lastCommittedCheckSent();
  }
  return fresh ? environment_.clock.steadyNow() - *fresh : AGE_UNKNOWN;
}

Duration Coordinator::extendLease(const NodeName& node) {
  facts_.heartbeats++;
  KJ_IF_MAYBE (leading, leadership()) return leading->extendLease(node);
  return {};
}

kj::Promise<Result<WeightSources>> Coordinator::weightSources(NodeName node, RankRef rank) {
  if (!leading()) return Result<WeightSources>(notLeader());
  auto sources = weightSourcesOf(state(), registry_, node, rank);
  return stateMayLeave().then([sources = kj::mv(sources)]() mutable { return kj::mv(sources); });
}

void Coordinator::sawToken(const FencingToken& token, const NodeName& from) {
  takeToken(token, "node " + from.value + " has obeyed");
}

void Coordinator::takeToken(const FencingToken& token, const std::string& from) {
  if (token <= known_) return;
  known_ = token;
  noteNews();
  KJ_IF_MAYBE (leading, leadership()) {
    if (leading->token() < token) {
      facts_.fencedAttempts++;
      leading->resign(from + " epoch " + std::to_string(token.epoch.value) + " of history " +
                      std::to_string(token.history.number) + ", which is above ours");
    }
  }
}

kj::Promise<Result<ModelManifest>> Coordinator::ensureModel(std::string source) {
  return ensureModelCo(kj::mv(source));
}

Co<Result<ModelManifest>> Coordinator::ensureModelCo(std::string source) {
  auto known = state().models.find(source);
  if (known != state().models.end()) co_return ModelManifest(known->second);
  if (!leading()) co_return notLeader();
  auto manifest = co_await workerCalls_.inspectModel(source);
  if (!manifest) co_return kj::mv(manifest);
  KJ_IF_MAYBE (driver, this->driver()) {
    auto index = driver->propose(ModelRecorded{*manifest}, "coordinator/" + settings_.id.value);
    if (!index) co_return index.refusal();
    co_await driver->committed(*index);
    co_return kj::mv(manifest);
  }
  co_return notLeader();
}

kj::Promise<Result<Done>> Coordinator::stepDown(CoordinatorId successor) {
  if (successor == settings_.id) {
    return Result<Done>(
        Refusal{RefusalCode::INVALID_VALUE,
                "the successor must be another coordinator than " + successor.value});
  }
  KJ_IF_MAYBE (leading, leadership()) {
    if (leading->serving() && leading->handingOver()) {
      return Result<Done>(Refusal{RefusalCode::OVERLOADED, "a hand-over is under way already"});
    }
    if (leading->serving()) {
      return leading->handOver(successor).then([successor](bool done) -> Result<Done> {
        if (done) return Done{};
        std::string whom =
            successor.value.empty() ? "another coordinator" : "coordinator " + successor.value;
        return Refusal{RefusalCode::NOT_FOUND,
                       "nobody to hand over to: " + whom + " does not stand in line"};
      });
    }
  }
  return Result<Done>(notLeader());
}

Refusal Coordinator::notLeader() const {
  if (auto away = cutOff()) return *away;
  const auto& alarms = facts_.alarms.active();
  for (AlarmKind kind :
       {AlarmKind::ZOOKEEPER_EMPTY, AlarmKind::ZOOKEEPER_OLD, AlarmKind::HISTORY_DIFFERS}) {
    auto alarm = alarms.find(kind);
    if (alarm != alarms.end()) return {RefusalCode::HISTORY_MISMATCH, alarm->second};
  }
  if (!view_ || view_->leader.value.empty() || view_->leader == settings_.id) {
    return {RefusalCode::NO_LEADER, "no coordinator leads at the moment; ask again"};
  }
  return {RefusalCode::NOT_LEADER, "coordinator " + settings_.id.value + " does not lead; " +
                                       view_->leader.value + " does, at " + view_->leaderAddress};
}

void Coordinator::onEvents(std::function<void(const std::vector<Event>&)> handler) {
  onEvents_ = kj::mv(handler);
}

capnp::Capability::Client Coordinator::bootstrapFor(const RpcPeer& peer) {
  WorkerGateParts worker{*this, registry_, [this](RpcConnectionId id) { server_.close(id); },
                         environment_.logger};
  PeerGateParts peers{
      [this](schema::PeerState::Builder state) { describe(state); },
      [this](const failover::LeaderInLine& leader) { return deathWatch_->suspects(leader); },
      [this](BatchNumber number) { return environment_.store.batchBytes(number); },
      [this](BatchNumber number) {
        if (role_.get() != nullptr) role_->suspect(number);
      }};
  return makeGate(peer, {[this](schema::ServerInfo::Builder info) { describe(info); }, makeApi_,
                         kj::mv(worker), kj::mv(peers),
                         [this](LeadershipNews::Said heard, Audience audience) {
                           return news_.after(heard, audience);
                         }});
}

void Coordinator::describe(schema::ServerInfo::Builder info) {
  info.setCluster(settings_.cluster.value.c_str());
  auto history = info.initHistory();
  history.setNumber(known_.history.number);
  history.initGuid().setHigh(known_.history.guid.high);
  history.getGuid().setLow(known_.history.guid.low);
  info.setEpoch(known_.epoch.value);
  info.setCoordinator(settings_.id.value.c_str());
  info.setStage(static_cast<uint8_t>(facts_.stage));
  if (view_) {
    info.setLeader(view_->leader.value.c_str());
    info.setLeaderAddress(view_->leaderAddress.c_str());
  }
  info.setClusterTimeNs(clusterNow().nanos);
  info.setAppliedIndex(facts_.committedIndex.value);
  info.setVersion(settings_.version.c_str());
  info.setFencedAttempts(facts_.fencedAttempts);
  info.setWrongGuesses(facts_.wrongGuesses);
  info.setSchemaLevelMax(schemaLevelUnderstood());
  describeTrouble(info);
  // A hash of commands in flight may never be any committed state's.
  if (state().applied != facts_.committedIndex) return;
  info.setStateHashIndex(state().applied.value);
  info.initStateHash().setHigh(state().hash().high);
  info.getStateHash().setLow(state().hash().low);
}

void Coordinator::describeTrouble(schema::ServerInfo::Builder info) {
  const auto& active = facts_.alarms.active();
  auto alarms = info.initAlarms(static_cast<uint32_t>(active.size()));
  uint32_t at = 0;
  for (const auto& [kind, text] : active) {
    alarms[at].setName(std::string(toText(kind)).c_str());
    alarms[at++].setText(text.c_str());
  }
  if (!facts_.cutOffSince) return;
  Duration away = environment_.clock.steadyNow() - *facts_.cutOffSince;
  info.setCutOffMs(static_cast<uint64_t>(std::max<int64_t>(away.millis(), 1)));
}

void Coordinator::describePosition(schema::Position::Builder position) {
  auto meta = environment_.store.meta();
  if (!meta || follower_.damage()) return;
  encode(meta->history, position.initHistory());
  position.setBatch(meta->applied.batch.value);
  position.setIndex(meta->applied.index.value);
  encode(meta->applied.chain, position.initChain());
  position.setEpoch(meta->applied.epoch.value);
}

void Coordinator::describe(schema::PeerState::Builder state) {
  state.setCoordinator(settings_.id.value.c_str());
  encode(incarnation_, state.initIncarnation());
  encode(known_, state.initToken());
  state.setConnected(facts_.session == failover::SessionState::CONNECTED);
  describePosition(state.initPosition());
  KJ_IF_MAYBE (leading, leadership()) {
    // Before it serves, a leader may have no check to show yet.
    if (!leading->serving()) return;
    // Since its answer came: a check that was stuck with everybody's is not old once it is through.
    Duration age = environment_.clock.steadyNow() - leading->leadership().lastCheckCommitted();
    encode(leading->token(), state.getToken());
    state.setServing(true);
    state.setCheckAgeMs(static_cast<uint32_t>(std::min<int64_t>(age.millis(), UINT32_MAX)));
  }
}

}  // namespace muster::coordinator
