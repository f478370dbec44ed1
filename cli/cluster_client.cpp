#include "cli/cluster_client.h"

#include "base/kj_time.h"

#include <kj/debug.h>

#include <algorithm>
#include <set>
#include <utility>

namespace muster::cli {
namespace {

// A leader change takes some milliseconds, so the first tries come quickly.
constexpr BackoffPolicy RETRY{.delayMin = 10_ms, .delayMax = 400_ms};
constexpr BackoffPolicy SEARCH{.delayMin = 20_ms, .delayMax = 300_ms};
// How long a call may hang before the others are asked whether one of them leads now.
constexpr auto LOOK_AROUND_EVERY = 500 * kj::MILLISECONDS;
constexpr auto TELL_AFTER = 1 * kj::SECONDS;

// The coordinator did not carry the request out, or nobody knows: the same request id is asked
// again.
bool asksForRetry(RefusalCode code) {
  switch (code) {
    case RefusalCode::NOT_LEADER:
    case RefusalCode::NO_LEADER:
    case RefusalCode::OUTCOME_UNKNOWN:
    case RefusalCode::STORE_UNREACHABLE:
    case RefusalCode::OVERLOADED:
      return true;
    default:
      return false;
  }
}

// A coordinator's table of permissions answers by an exception: "E0202 not allowed: ...".
Refusal toRefusal(const kj::Exception& exception) {
  std::string_view text = exception.getDescription().cStr();
  constexpr std::string_view REMOTE = "remote exception: ";
  if (text.starts_with(REMOTE)) text.remove_prefix(REMOTE.size());
  if (auto code = parseRefusalCode(text.substr(0, 5))) {
    text.remove_prefix(5);
    return {*code, std::string(text.substr(std::min(text.find_first_not_of(' '), text.size())))};
  }
  if (exception.getType() == kj::Exception::Type::UNIMPLEMENTED) {
    return {RefusalCode::NOT_SUPPORTED_YET,
            "the coordinator does not know this call: " + std::string(text),
            {},
            {"muster version, and upgrade the coordinators"}};
  }
  return {RefusalCode::INTERNAL, "the coordinator failed: " + std::string(text)};
}

bool mayPass(const kj::Exception& exception) {
  return exception.getType() == kj::Exception::Type::DISCONNECTED ||
         exception.getType() == kj::Exception::Type::OVERLOADED;
}

std::string commaList(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : "; ") + word;
  return text;
}

}  // namespace

// One look for a coordinator that fits: each address is asked again and again on its own, so that a
// frozen one delays nobody.
struct ClusterClient::Search {
  Search(Asks asks, kj::TimePoint began, kj::Own<kj::PromiseFulfiller<CoordinatorLink*>> found)
      : asks(asks), began(began), found(kj::mv(found)), tasks("search for the leader") {}

  Asks asks;
  kj::TimePoint began;
  kj::Own<kj::PromiseFulfiller<CoordinatorLink*>> found;
  std::set<std::string> started;
  uint32_t hopeful = 0;  // addresses that may still answer
  Tasks tasks;
};

// What one sending came to.
struct ClusterClient::Try {
  std::optional<Result<Answer>> answer;  // when it is sure
  std::optional<Refusal> refusal = {};   // when the coordinator asks to try again
  std::string why = {};                  // when there is no answer
  LogIndex index = {};                   // an answer rests on
  bool linkIsGood = true;
  bool leaderMoved = false;  // another coordinator says that it leads now
};

ClusterClient::ClusterClient(Transport& transport, kj::Timer& timer, Random& random,
                             ClusterClientOptions options)
    : transport_(transport), timer_(timer), random_(random), options_(std::move(options)) {}

void ClusterClient::setSeen(HistoryId history, LogIndex index) {
  history_ = history;
  lastIndex_ = index;
}

Co<Result<Answer>> ClusterClient::call(ClusterCall call) {
  auto deadline = timer_.now() + toKj(options_.timeout + call.serverWait);
  Backoff backoff(RETRY, random_);
  std::optional<RequestId> id;
  std::optional<Refusal> lastRefusal;
  bool lostOne = false;
  bool mayHaveHappened = false;  // by a try without a sure answer, whatever later ones were told
  for (;;) {
    CoordinatorLink* link = knownLeader(call.asks);
    if (link == nullptr) link = co_await find(call.asks, deadline);
    if (link == nullptr) {
      if (lastRefusal && !mayHaveHappened) co_return *lastRefusal;
      co_return noLeader(id.has_value());
    }
    if (!id) id = RequestId{random_.guid(), clusterTimeMax_};
    CallStamp stamp = stampFor(*id);
    auto result = co_await tryOnce(*link, call, stamp, deadline);
    if (result.answer) {
      lastIndex_ = std::max(lastIndex_, result.index);
      co_return *result.answer;
    }
    link->doubt();
    if (!result.linkIsGood) link->drop();
    lastRefusal = result.refusal;
    bool sure = result.refusal && result.refusal->code != RefusalCode::OUTCOME_UNKNOWN;
    if (!sure) mayHaveHappened = true;
    options_.onRetry(link->address() + ": " + result.why + "; asking again");
    // A connection that broke was its leader's last word, most likely: who follows it tells us.
    bool lostLeader = !result.linkIsGood && !std::exchange(lostOne, true);
    auto pause = std::min(toKj(backoff.next()), deadline - timer_.now());
    if (lostLeader || result.leaderMoved) continue;
    if (pause > 0 * kj::SECONDS) co_await pauseBefore(*link, call.asks, pause);
  }
}

// The one that has said a moment ago that it leads, so that neither each call of a client that
// makes many, nor the first one after a change of leaders, costs a hello at every coordinator.
CoordinatorLink* ClusterClient::knownLeader(Asks asks) {
  if (asks != Asks::LEADER) return nullptr;
  for (auto& [address, link] : links_) {
    if (!link->isFresh()) continue;
    const ServerFacts& facts = *link->facts();
    bool leads = facts.stage == Stage::SERVING && facts.epoch >= epochMax_;
    if (leads && facts.history == history_) return link.get();
  }
  return nullptr;
}

Co<CoordinatorLink*> ClusterClient::find(Asks asks, kj::TimePoint deadline) {
  auto paf = kj::newPromiseAndFulfiller<CoordinatorLink*>();
  auto search = kj::heap<Search>(asks, timer_.now(), kj::mv(paf.fulfiller));
  distrusted_ = false;
  for (const auto& address : options_.coordinators) startAt(*search, address);
  search->tasks.add(
      timer_.afterDelay(TELL_AFTER).then([this] { options_.onWaiting(whatEachSaid()); }));
  auto late = timer_.atTime(deadline).then([]() -> CoordinatorLink* { return nullptr; });
  auto* link = co_await paf.promise.exclusiveJoin(kj::mv(late));
  co_return link;
}

void ClusterClient::startAt(Search& search, const std::string& address) {
  if (!search.started.insert(address).second) return;
  search.hopeful++;
  search.tasks.add(searchAt(search, linkTo(address)));
}

Co<void> ClusterClient::searchAt(Search& search, CoordinatorLink& link) {
  Backoff backoff(SEARCH, random_);
  for (;;) {
    bool distrusted = false;
    bool heard = false;
    try {
      ServerFacts facts = co_await link.hello();
      heard = true;
      if (fits(search, facts)) {
        search.found->fulfill(&link);
        co_return;
      }
      if (!facts.leaderAddress.empty()) startAt(search, facts.leaderAddress);
    } catch (const kj::Exception& exception) {
      distrusted = !mayPass(exception);
    }
    if (distrusted) break;  // asking again would not help
    kj::Promise<void> pause = timer_.afterDelay(toKj(backoff.next()));
    if (heard) pause = pause.exclusiveJoin(newsOf({&link}));
    co_await kj::mv(pause);
  }
  if (--search.hopeful == 0) {
    distrusted_ = true;
    search.found->fulfill(nullptr);
  }
}

// Nobody who would answer from before what we have seen: of an earlier history, or of an index that
// is not there yet. History 0 is that of a coordinator that knows nothing so far.
bool ClusterClient::fits(const Search& search, const ServerFacts& facts) {
  bool settles = timer_.now() - search.began >= toKj(options_.settleAfter);
  bool isEarlier = facts.history.number < history_.number;
  if (facts.history.number == 0 || (isEarlier && !settles)) {
    return search.asks == Asks::LEADER_IF_ANY && settles;
  }
  learn(facts);
  if (facts.stage == Stage::SERVING && facts.epoch >= epochMax_) return true;
  if (search.asks == Asks::ANYONE) return facts.applied >= lastIndex_;
  return search.asks == Asks::LEADER_IF_ANY && settles;
}

Co<ClusterClient::Try> ClusterClient::tryOnce(CoordinatorLink& link, ClusterCall call,
                                              CallStamp stamp, kj::TimePoint deadline) {
  auto answered = call.send(link.api(), stamp).then([](Returned returned) -> Try {
    Result<Answer>& answer = returned.answer;
    if (answer || !asksForRetry(answer.refusal().code)) {
      return {.answer = answer, .index = returned.index};
    }
    return {.refusal = answer.refusal(), .why = answer.refusal().text};
  });
  kj::Promise<void> moved = kj::NEVER_DONE;
  if (call.asks == Asks::LEADER && !call.changesLeader) moved = untilAnotherLeads(link);
  // The connection stays: to dial a former leader again, which all its clients do at once, would
  // cost the next one its first milliseconds.
  auto replaced = moved.then(
      []() -> Try { return {.why = "another coordinator leads now", .leaderMoved = true}; });
  kj::Promise<void> gone = untilSilent(link);
  auto silent =
      gone.then([]() -> Try { return {.why = "it says nothing any more", .linkIsGood = false}; });
  auto late = timer_.atTime(deadline).then(
      []() -> Try { return {.why = "no answer in time", .linkIsGood = false}; });
  try {
    auto result = co_await answered.exclusiveJoin(kj::mv(replaced))
                      .exclusiveJoin(kj::mv(silent))
                      .exclusiveJoin(kj::mv(late));
    co_return result;
  } catch (const kj::Exception& exception) {
    Try failed{.why = exception.getDescription().cStr(), .linkIsGood = false};
    if (!mayPass(exception)) failed.answer = toRefusal(exception);
    co_return failed;
  }
}

// Resolves when one of these has said something new; never if none can.
kj::Promise<void> ClusterClient::newsOf(const std::vector<CoordinatorLink*>& links) {
  kj::Promise<void> first = kj::NEVER_DONE;
  for (CoordinatorLink* link : links) {
    auto told =
        link->news().catch_([](kj::Exception&&) { return kj::Promise<void>(kj::NEVER_DONE); });
    first = first.exclusiveJoin(kj::mv(told));
  }
  return first;
}

// Shorter when another coordinator leads meanwhile.
kj::Promise<void> ClusterClient::pauseBefore(CoordinatorLink& link, Asks asks, kj::Duration pause) {
  kj::Promise<void> over = timer_.afterDelay(pause);
  if (asks != Asks::LEADER) return over;
  return over.exclusiveJoin(untilAnotherLeads(link).asPromise());
}

// A leader that hangs (stopped, or cut off) never answers. The others know when it is replaced, and
// say so by themselves; now and then they are asked.
Co<void> ClusterClient::untilAnotherLeads(CoordinatorLink& link) {
  std::vector<CoordinatorLink*> others;
  for (auto& [address, other] : links_) {
    if (other.get() != &link) others.push_back(other.get());
  }
  Epoch epoch = link.facts() ? link.facts()->epoch : Epoch{};
  // What is learned keeps the one that is left from being taken for the leader once more.
  auto leads = [this, epoch](const ServerFacts& facts) {
    if (facts.history.number < history_.number) return false;
    learn(facts);
    return facts.stage == Stage::SERVING && facts.epoch > epoch;
  };
  for (;;) {
    auto lookAt = timer_.now() + LOOK_AROUND_EVERY;
    while (timer_.now() < lookAt) {
      co_await timer_.atTime(lookAt).exclusiveJoin(newsOf(others));
      for (auto* other : others) {
        if (other->facts() && leads(*other->facts())) co_return;
      }
    }
    for (auto* other : others) {
      try {
        if (leads(co_await other->hello())) co_return;
      } catch (const kj::Exception&) {
        continue;  // one that cannot be asked knows of nobody
      }
    }
  }
}

// A connection that the other end has forgotten breaks when something is sent on it, and while an
// answer is awaited nothing is.
Co<void> ClusterClient::untilSilent(CoordinatorLink& link) {
  for (;;) {
    co_await timer_.afterDelay(LOOK_AROUND_EVERY);
    try {
      co_await link.hello();
    } catch (const kj::Exception&) {
      co_return;
    }
  }
}

CoordinatorLink& ClusterClient::linkTo(const std::string& address) {
  auto& link = links_[address];
  if (link.get() == nullptr) link = kj::heap<CoordinatorLink>(transport_, timer_, address);
  return *link;
}

// Indices and epochs count within one history only.
void ClusterClient::learn(const ServerFacts& facts) {
  if (facts.history != history_) {
    history_ = facts.history;
    lastIndex_ = {};
    epochMax_ = {};
    clusterTimeMax_ = {};
  }
  epochMax_ = std::max(epochMax_, facts.epoch);
  clusterTimeMax_ = std::max(clusterTimeMax_, facts.clusterTime);
}

std::string ClusterClient::whatEachSaid() const {
  std::vector<std::string> words;
  for (const auto& [address, link] : links_) words.push_back(link->describe());
  return commaList(words);
}

Refusal ClusterClient::noLeader(bool sent) const {
  std::string said = whatEachSaid();
  if (distrusted_) {
    return {RefusalCode::NOT_AUTHENTICATED,
            "no coordinator could be trusted, or none trusts this certificate: " + said,
            {},
            {"muster context ls shows which certificate is used"}};
  }
  std::string within = " within " + toText(options_.timeout) + ": " + said;
  if (sent) {
    return {RefusalCode::OUTCOME_UNKNOWN,
            "the request was sent, and no leader confirmed it" + within,
            {},
            {"repeat the command; muster get deployments shows what holds now"}};
  }
  return {RefusalCode::NO_LEADER,
          "no leader answered" + within,
          {},
          {"muster admin status", "repeat the command; --timeout waits longer"}};
}

}  // namespace muster::cli
