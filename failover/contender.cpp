// One coordinator's part in the election. A single loop looks at everything anew, acts on what it
// saw, and waits for a reason to look again: a watch, the session, or five seconds. Watches are
// only reasons, never facts.
#include "base/planted_bug.h"
#include "base/tasks.h"
#include "failover/election.h"
#include "failover/election_rules.h"
#include "failover/log_leadership.h"
#include "failover/session_wait.h"

namespace muster::failover {
namespace {

constexpr auto PAUSE_AFTER_FAILURE = 20 * kj::MILLISECONDS;

std::string nameIn(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

struct Contender::Impl {
  // AGAIN: what was seen is out of date or could not be read; WAIT: until a watch or the second
  // look.
  enum class Next { AGAIN, WAIT };

  Impl(CoordinationSession& session, kj::Timer& timer, const Clock& clock, Random& random,
       ContenderIdentity identity)
      : session(session),
        timer(timer),
        clock(clock),
        random(random),
        identity(std::move(identity)),
        paths(this->identity.cluster),
        tasks("election") {
    tasks.add(run().asPromise().catch_([this](kj::Exception&& exception) {
      // Bytes in `epoch` that nobody understands, say: standing makes no sense any more.
      KJ_IF_MAYBE (waiting, campaigner) {
        (*waiting)->reject(kj::cp(exception));
      }
      campaigner = nullptr;
      kj::throwFatalException(kj::mv(exception));
    }));
  }

  Co<void> run();
  Co<Next> look();
  Co<Next> lookAtEpoch();
  Co<Next> stand();
  Co<bool> adopt();
  Co<Next> lookAtLine(EpochView seen);
  Co<Next> confirmLeader(EpochView seen, CandidateName leader);
  Co<Next> takeOver(EpochView seen, std::string oldCandidate);
  Co<void> takeOverUnseen();
  Co<void> tellLeader(EpochView seen, CandidateName leader);
  kj::Promise<void> reasonToLook(Next next);
  void accept(EpochView seen);
  void elected(const EpochView& ours, std::string reason);
  void removeDoubles(const std::vector<CandidateName>& line);
  CandidateInfo info() const;
  bool isGuess(const EpochView& seen) const;
  std::string pathOf(const std::string& name) const { return paths.candidates() + "/" + name; }

  CoordinationSession& session;
  kj::Timer& timer;
  const Clock& clock;
  Random& random;
  ContenderIdentity identity;
  Paths paths;

  kj::Maybe<EpochView> view;
  CoordinatorId previousLeader;  // of the epoch before `view`, as far as we saw it
  std::function<void(const EpochView&)> handler;
  std::function<void()> mayBeElected = [] {};
  kj::Own<ViewFeed> feed = kj::refcounted<ViewFeed>();

  kj::Maybe<kj::Own<kj::PromiseFulfiller<Elected>>> campaigner;
  Guid guid;                  // of our candidate; null: never stood
  std::string ownName;        // of our candidate's node; empty: none is known
  bool maybeCreated = false;  // an answer to its creation was lost
  SteadyTime takeoverSent;    // no later than any takeover that can make us leader
  Epoch takeoverEpoch;        // that our newest takeover would make: its answer may have been lost
  std::string takeoverWhy;
  kj::Maybe<kj::TimePoint> vacantSince;
  // Somebody's guess that the leader of `epoch` is dead.
  struct Guess {
    Epoch epoch;
    std::string why;
    kj::TimePoint since;
    bool tried = false;  // by what was seen before, without another look
  };
  kj::Maybe<Guess> guess;
  std::vector<CandidateName> lastLine;  // as last listed
  std::function<void(const LeaderInLine&)> leaderHandler;
  Guid leaderTold;  // guid of the leader's candidate that the handler heard of
  bool tookOverOnGuess = false;
  std::vector<std::string> ghosts;  // names this server shows although a write found them gone
  bool secondLook = false;

  std::vector<kj::Promise<void>> watches;  // of this look
  kj::Maybe<kj::TimePoint> turn;           // when ours comes, while others are before us in line
  bool lookNow = false;  // campaign() was called; the loop may be in the middle of a look
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> kick;
  Tasks tasks;
};

Contender::Contender(CoordinationSession& session, kj::Timer& timer, const Clock& clock,
                     Random& random, ContenderIdentity identity)
    : impl_(kj::heap<Impl>(session, timer, clock, random, std::move(identity))) {}
Contender::~Contender() noexcept(false) = default;

kj::Promise<Contender::Elected> Contender::campaign() {
  KJ_REQUIRE(impl_->guid.isNull(), "one session stands once: a deposed leader opens a new one");
  auto paf = kj::newPromiseAndFulfiller<Elected>();
  impl_->guid = impl_->random.guid();
  impl_->campaigner = kj::mv(paf.fulfiller);
  impl_->takeoverSent = impl_->clock.steadyNow();
  impl_->lookNow = true;
  KJ_IF_MAYBE (kick, impl_->kick) {
    (*kick)->fulfill();
  }
  if (impl_->session.state() == SessionState::ENDED) {
    return KJ_EXCEPTION(DISCONNECTED, "the ZooKeeper session ended");
  }
  return kj::mv(paf.promise);
}

const kj::Maybe<EpochView>& Contender::view() const { return impl_->view; }

void Contender::onView(std::function<void(const EpochView&)> handler) {
  impl_->handler = std::move(handler);
}

void Contender::onLeaderInLine(std::function<void(const LeaderInLine&)> handler) {
  impl_->leaderHandler = std::move(handler);
}

void Contender::onMayBeElected(std::function<void()> handler) {
  impl_->mayBeElected = std::move(handler);
}

kj::Promise<bool> Contender::proveCommit() {
  Impl& self = *impl_;
  KJ_IF_MAYBE (view, self.view) {
    if (self.ownName.empty() || self.session.state() != SessionState::CONNECTED) return false;
    std::vector<Op> ops;
    ops.push_back(checkOp(self.paths.epoch(), view->version));
    ops.push_back(checkOp(self.pathOf(self.ownName)));
    return self.session.multi(std::move(ops)).then([](MultiResult&& result) {
      return result.code == ZkCode::OK;
    });
  }
  return false;
}

void Contender::guessDead(Epoch epoch, std::string why) {
  Impl& self = *impl_;
  if (self.campaigner == nullptr) return;
  KJ_IF_MAYBE (known, self.guess) {
    if (known->epoch == epoch) return;
  }
  self.guess = Impl::Guess{epoch, std::move(why), self.timer.now()};
  self.lookNow = true;
  KJ_IF_MAYBE (kick, self.kick) {
    (*kick)->fulfill();
  }
}

kj::Own<Leadership> Contender::lead(const Elected& elected, LogPosition end,
                                    std::function<BatchTimes()> times, AppendOptions options) {
  LeadershipStart start{elected.view, impl_->pathOf(impl_->ownName), end, elected.takeoverSent,
                        impl_->identity.cluster};
  auto leadership = kj::heap<LogLeadership>(impl_->session, impl_->timer, impl_->clock,
                                            impl_->random, std::move(start),
                                            kj::addRef(*impl_->feed), std::move(times), options);
  KJ_IF_MAYBE (view, impl_->view) {
    impl_->feed->leadership(*view);
  }  // it may be over already
  return leadership;
}

// ---- the loop

Co<void> Contender::Impl::run() {
  while (session.state() != SessionState::ENDED) {
    Next next = Next::WAIT;
    if (session.state() == SessionState::CONNECTED) next = co_await look();
    co_await reasonToLook(next);
  }
  KJ_IF_MAYBE (waiting, campaigner) {
    (*waiting)->reject(KJ_EXCEPTION(DISCONNECTED, "the ZooKeeper session ended"));
  }
  campaigner = nullptr;
}

kj::Promise<void> Contender::Impl::reasonToLook(Next next) {
  if (next == Next::AGAIN || std::exchange(lookNow, false))
    return timer.afterDelay(0 * kj::MILLISECONDS);
  auto paf = kj::newPromiseAndFulfiller<void>();
  kick = kj::mv(paf.fulfiller);
  secondLook = false;
  kj::Promise<void> reason = timer.afterDelay(SECOND_LOOK).then([this] { secondLook = true; });
  if (MUSTER_PLANTED_BUG(NO_SECOND_LOOK)) reason = kj::Promise<void>(kj::NEVER_DONE);
  reason = reason.exclusiveJoin(kj::mv(paf.promise)).exclusiveJoin(session.stateChanged());
  KJ_IF_MAYBE (due, turn) {
    reason = reason.exclusiveJoin(timer.atTime(*due));
  }
  turn = nullptr;  // without a connection nobody looks, and a turn in the past would come for ever
  for (auto& watch : watches) {
    reason = reason.exclusiveJoin(
        watch.catch_([](kj::Exception&&) {}));  // the end of the session is a reason too
  }
  watches.clear();
  return reason;
}

Co<Contender::Impl::Next> Contender::Impl::look() {
  watches.clear();
  turn = nullptr;
  co_await takeOverUnseen();
  Next next = co_await lookAtEpoch();
  if (next == Next::AGAIN && session.state() == SessionState::CONNECTED)
    co_await timer.afterDelay(PAUSE_AFTER_FAILURE);
  co_return next;
}

// The watch is set before the read, so that no change falls between them; the session keeps the
// order in which they were sent.
Co<Contender::Impl::Next> Contender::Impl::lookAtEpoch() {
  auto watching = session.watch(paths.epoch());
  auto getting = session.get(paths.epoch());
  if (campaigner != nullptr && !ownName.empty()) mayBeElected();
  WatchResult watched = co_await kj::mv(watching);
  bool usable = watched.code == ZkCode::OK || watched.code == ZkCode::NO_NODE;
  if (!usable) co_return Next::AGAIN;
  watches.push_back(kj::mv(watched.changed));
  if (watched.code == ZkCode::NO_NODE)
    co_return Next::WAIT;  // not bootstrapped, or this server is behind
  GetResult got = co_await kj::mv(getting);
  if (got.code != ZkCode::OK) co_return Next::AGAIN;
  EpochView seen = decodeEpoch(got.data, got.stat.version);
  accept(seen);
  if (campaigner == nullptr) co_return Next::WAIT;
  if (isOurs(seen, guid, session.sessionId())) {
    elected(seen, seen.epoch == takeoverEpoch ? takeoverWhy : handOverReason(previousLeader));
    co_return Next::WAIT;
  }
  if (ownName.empty()) {
    Next stood = co_await stand();
    if (stood == Next::AGAIN) co_return Next::AGAIN;
  }
  co_return co_await lookAtLine(kj::mv(seen));
}

// A read may come from a server that is behind: the view never goes back.
void Contender::Impl::accept(EpochView seen) {
  KJ_IF_MAYBE (known, view) {
    bool older = seen.history == known->history && seen.epoch < known->epoch;
    if (older || seen == *known) return;
    if (seen.epoch != known->epoch) previousLeader = known->leader;
  }
  view = seen;
  vacantSince = nullptr;
  ghosts.clear();
  if (feed->leadership) feed->leadership(seen);
  if (handler) handler(seen);
}

void Contender::Impl::elected(const EpochView& ours, std::string reason) {
  KJ_IF_MAYBE (waiting, campaigner) {
    bool onGuess = tookOverOnGuess && ours.epoch == takeoverEpoch;
    (*waiting)->fulfill(Elected{ours, std::move(reason), takeoverSent, onGuess});
  }
  campaigner = nullptr;
}

// ---- standing

CandidateInfo Contender::Impl::info() const {
  CandidateInfo info;
  info.coordinator = identity.id;
  info.incarnation = identity.incarnation;
  info.rpcAddress = identity.rpcAddress;
  info.guid = guid;
  return info;
}

// Creates our candidate, or adopts the one whose creation's answer was lost.
Co<Contender::Impl::Next> Contender::Impl::stand() {
  if (maybeCreated) {
    bool known = co_await adopt();
    if (!known) co_return Next::AGAIN;
    if (!ownName.empty()) co_return Next::WAIT;
  }
  std::vector<Op> ops(1, createOp(paths.candidatePrefix(guid), encodeCandidate(info()),
                                  CreateMode::EPHEMERAL_SEQUENTIAL));
  MultiResult made = co_await session.multi(std::move(ops));
  if (made.code != ZkCode::OK) {
    maybeCreated = true;
    co_return Next::AGAIN;
  }
  ownName = nameIn(made.results.at(0).path);
  co_return Next::WAIT;
}

// Looks for a candidate with our guid. One of this session is ours; one of another is a ghost that
// will vanish. False when it could not be read.
Co<bool> Contender::Impl::adopt() {
  ListResult listed = co_await session.list(paths.candidates());
  if (listed.code != ZkCode::OK) co_return false;
  std::vector<CandidateName> line = lineOf(listed.children, ghosts);
  for (size_t i = 0; i < line.size(); i++) {
    if (line[i].guid != guid) continue;
    GetResult got = co_await session.get(pathOf(line[i].name));
    if (got.code != ZkCode::OK && got.code != ZkCode::NO_NODE) co_return false;
    if (got.code == ZkCode::OK && got.stat.ephemeralOwner == session.sessionId()) {
      ownName = line[i].name;
      co_return true;
    }
  }
  co_return true;
}

// Other nodes with our guid: a creation that came late, or a ghost. Nothing depends on when they
// go.
void Contender::Impl::removeDoubles(const std::vector<CandidateName>& line) {
  for (const CandidateName& candidate : line) {
    if (candidate.guid != guid || candidate.name == ownName) continue;
    tasks.add(session.multi({removeOp(pathOf(candidate.name))}).ignoreResult());
  }
}

// ---- the line

Co<Contender::Impl::Next> Contender::Impl::lookAtLine(EpochView seen) {
  WatchResult own = co_await session.watch(pathOf(ownName));
  if (own.code == ZkCode::NO_NODE ||
      (own.code == ZkCode::OK && own.stat.ephemeralOwner != session.sessionId())) {
    ownName.clear();  // removed, or of a session that is not this one: stand again, at the end of
                      // the line
    co_return Next::AGAIN;
  }
  if (own.code != ZkCode::OK) co_return Next::AGAIN;
  watches.push_back(kj::mv(own.changed));
  ListResult listed = co_await session.list(paths.candidates());
  if (listed.code != ZkCode::OK) co_return Next::AGAIN;
  std::vector<CandidateName> line = lineOf(listed.children, ghosts);
  removeDoubles(line);
  lastLine = line;
  std::optional<CandidateName> leader = leaderIn(line, seen);
  if (leader && !isGuess(seen)) co_return co_await confirmLeader(kj::mv(seen), *leader);
  std::optional<size_t> place = placeBehind(line, leader, ownName);
  if (!place) co_return Next::AGAIN;
  kj::TimePoint since = vacantSince.orDefault(timer.now());
  KJ_IF_MAYBE (guessed, guess) {
    if (leader) since = guessed->since;
  }
  vacantSince = since;
  kj::TimePoint due = since + turnDelay(*place).nanos * kj::NANOSECONDS;
  if (timer.now() < due) {
    turn = due;
    co_return Next::WAIT;
  }
  std::string oldCandidate = leader ? leader->name : "";
  co_return co_await takeOver(kj::mv(seen), kj::mv(oldCandidate));
}

bool Contender::Impl::isGuess(const EpochView& seen) const {
  KJ_IF_MAYBE (guessed, guess) {
    return guessed->epoch == seen.epoch;
  }
  return false;
}

// The next in line acts on a guess by what it saw last, once: the multi itself finds out whether
// that still holds, and nothing is read before it.
Co<void> Contender::Impl::takeOverUnseen() {
  KJ_IF_MAYBE (guessed, guess) {
    KJ_IF_MAYBE (seen, view) {
      std::optional<CandidateName> leader = leaderIn(lastLine, *seen);
      bool usable = campaigner != nullptr && !ownName.empty() && !guessed->tried && leader &&
                    guessed->epoch == seen->epoch;
      if (usable && placeBehind(lastLine, leader, ownName) == 0) {
        guessed->tried = true;
        EpochView before = *seen;
        std::string oldCandidate = leader->name;
        co_await takeOver(kj::mv(before), kj::mv(oldCandidate));
      }
    }
  }
}

// The leader's candidate is listed. Watches it; now and then asks by a write whether it is really
// there: a server of 3.8.0 may go on showing an ephemeral of a closed session, and then no watch
// ever fires.
Co<Contender::Impl::Next> Contender::Impl::confirmLeader(EpochView seen, CandidateName leader) {
  vacantSince = nullptr;
  WatchResult watched = co_await session.watch(pathOf(leader.name));
  if (watched.code != ZkCode::OK) co_return Next::AGAIN;
  watches.push_back(kj::mv(watched.changed));
  if (leaderHandler && leaderTold != leader.guid) co_await tellLeader(seen, leader);
  if (!secondLook) co_return Next::WAIT;
  std::vector<Op> ops;
  ops.push_back(checkOp(paths.epoch(), seen.version));
  ops.push_back(checkOp(pathOf(leader.name)));
  MultiResult asked = co_await session.multi(std::move(ops));
  if (asked.code == ZkCode::NO_NODE && asked.results.at(1).code == ZkCode::NO_NODE)
    ghosts.push_back(leader.name);
  co_return asked.code == ZkCode::OK ? Next::WAIT : Next::AGAIN;
}

// Who the leader is, as a process: its candidate says it.
Co<void> Contender::Impl::tellLeader(EpochView seen, CandidateName leader) {
  GetResult got = co_await session.get(pathOf(leader.name));
  if (got.code != ZkCode::OK) co_return;
  CandidateInfo info = decodeCandidate(got.data);
  leaderTold = leader.guid;
  LeaderInLine told{info.coordinator, info.incarnation, FencingToken{seen.history, seen.epoch}};
  leaderHandler(told);
}

// `oldCandidate`: the leader's, which is taken for dead; empty when it is gone with its session, or
// is a ghost on this server only, so that nothing is left to delete.
Co<Contender::Impl::Next> Contender::Impl::takeOver(EpochView seen, std::string oldCandidate) {
  EpochView ours = nextEpoch(seen, info(), session.sessionId());
  if (identity.epochFloor) ours.epoch = std::max(ours.epoch, identity.epochFloor().next());
  bool onGuess = !oldCandidate.empty();
  takeoverWhy = takeoverReason(seen);
  KJ_IF_MAYBE (guessed, guess) {
    if (onGuess) takeoverWhy = guessed->why;
  }
  tookOverOnGuess = onGuess;
  // After a lost answer the same takeover is sent again: the first sending counts.
  if (takeoverEpoch != ours.epoch) takeoverSent = clock.steadyNow();
  takeoverEpoch = ours.epoch;
  ByteString record = encodeEpoch(ours, identity.cluster);
  std::string oldPath = onGuess ? pathOf(oldCandidate) : "";
  size_t steps = versionSteps(seen.epoch, ours.epoch);
  std::vector<Op> ops = takeoverOps(paths, seen, record, steps, pathOf(ownName), oldPath);
  auto takingOver = session.multi(std::move(ops));
  mayBeElected();
  MultiResult result = co_await kj::mv(takingOver);
  bool wasGone = onGuess && result.code == ZkCode::NO_NODE && result.results.size() > steps &&
                 result.results[steps].code == ZkCode::NO_NODE;
  if (wasGone) ghosts.push_back(oldCandidate);
  if (result.code != ZkCode::OK) co_return Next::AGAIN;  // lost, or another won: `epoch` says which
  ours.version = result.results.at(steps - 1).version;
  accept(ours);
  elected(ours, takeoverWhy);
  co_return Next::WAIT;
}

}  // namespace muster::failover
