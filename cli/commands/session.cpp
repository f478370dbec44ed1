#include "cli/commands/session.h"

#include "cli/local_cluster/local_doctor.h"

namespace muster::cli {
namespace {

// What the wire can tell at most: a coordinator that has not reached ZooKeeper since it started.
constexpr Duration AGE_MAX{int64_t{UINT32_MAX} * 1'000'000};

ClusterClientOptions clientOptions(Invocation& invocation, const ChosenContext& context) {
  Terminal& terminal = invocation.terminal;
  return {.coordinators = context.cluster.coordinators,
          .timeout = invocation.timeout,
          .onWaiting =
              [&terminal](const std::string& said) {
                terminal.hint("waiting for a coordinator: " + said);
              },
          .onRetry = [&terminal](const std::string& why) { terminal.detail(why); }};
}

}  // namespace

Result<kj::Own<Session>> Session::open(Invocation& invocation) {
  auto context = chooseContext(invocation.arguments.value("--context"), invocation.environment);
  if (!context) return context.refusal();
  std::string file = context->file;
  kj::Maybe<kj::Own<Session>> session;
  auto failure = kj::runCatchingExceptions(
      [&] { session = kj::heap<Session>(invocation, std::move(*context)); });
  KJ_IF_MAYBE (exception, failure) {
    return Refusal{RefusalCode::NOT_AUTHENTICATED,
                   "the certificates named in " + file +
                       " cannot be used: " + exception->getDescription().cStr(),
                   {},
                   {"muster context ls"}};
  }
  return kj::mv(KJ_ASSERT_NONNULL(session));
}

Session::Session(Invocation& invocation, ChosenContext context)
    : invocation_(invocation),
      context_(std::move(context)),
      loop_(TerminationSignals::CAPTURE),
      transport_(makeTlsTransport(loop_.network(), loop_.timer(), context_.cluster.cluster,
                                  context_.cluster.tls)),
      client_(kj::heap<ClusterClient>(*transport_, loop_.timer(), random_,
                                      clientOptions(invocation, context_))),
      seenFile_(userStateFolder(invocation.environment), context_.cluster.cluster),
      interrupted_(loop_.onTermination().fork()) {
  if (auto seen = seenFile_.read()) client_->setSeen(seen->history, seen->index);
}

Session::~Session() noexcept(false) {
  if (client_->lastIndex() == LogIndex{}) return;
  if (!seenFile_.write({client_->history(), client_->lastIndex()})) {
    invocation_.terminal.detail("the index seen last could not be kept in " +
                                userStateFolder(invocation_.environment));
  }
}

Result<Reply> Session::ask(ClusterCall call) {
  struct Outcome {
    std::optional<Result<Answer>> answer;  // nothing: the user left
  };
  kj::Promise<Result<Answer>> asked = client_->call(std::move(call));
  auto answered = asked.then([](Result<Answer> answer) { return Outcome{answer}; });
  auto left = interrupted_.addBranch().then([](int) { return Outcome{}; });
  auto outcome = answered.exclusiveJoin(kj::mv(left)).wait(loop_.waitScope());
  if (!outcome.answer) throw Interrupted{detached_};
  if (!*outcome.answer) return explained(outcome.answer->refusal());
  const Answer& answer = **outcome.answer;
  auto json = Json::parse(answer.json, nullptr, false);
  if (json.is_discarded()) {
    return Refusal{RefusalCode::INTERNAL, "the coordinator answered something that is no JSON"};
  }
  if (answer.stale) {
    bool isKnown = answer.age < AGE_MAX;
    invocation_.terminal.hint("stale: as of log index " + std::to_string(answer.index.value) +
                              (isKnown
                                   ? ", known to be the newest " + agoText(answer.age)
                                   : ", nobody knows how old: the coordinator has just started"));
  }
  invocation_.terminal.detail("request " + toText(answer.request.guid) + ", index " +
                              std::to_string(answer.index.value) + ", epoch " +
                              std::to_string(answer.epoch.value));
  return Reply{std::move(json), answer.index};
}

Result<Done> Session::finish(kj::Promise<Result<Done>> work) {
  struct Outcome {
    std::optional<Result<Done>> done;  // nothing: the user left
  };
  auto finished = work.then([](Result<Done> done) { return Outcome{done}; });
  auto left = interrupted_.addBranch().then([](int) { return Outcome{}; });
  auto outcome = finished.exclusiveJoin(kj::mv(left)).wait(loop_.waitScope());
  if (!outcome.done) throw Interrupted{detached_};
  return *outcome.done;
}

// Whoever has several clusters wants to know which one did not answer, and who made it with
// `muster up` how it comes back.
Refusal Session::explained(Refusal refusal) const {
  if (refusal.code == RefusalCode::NO_LEADER || refusal.code == RefusalCode::NOT_AUTHENTICATED) {
    refusal.text = "cluster " + context_.cluster.cluster.value + ": " + refusal.text;
  }
  auto local = localClusterOf(context_.file);
  if (local && refusal.code == RefusalCode::NO_LEADER) {
    refusal.fixes = {"muster doctor", remediesOf(*local).away("")};
  }
  if (refusal.code == RefusalCode::NOT_FOUND && refusal.fixes.empty()) {
    refusal.fixes = {"muster ps", "muster get nodes"};
  }
  return refusal;
}

ReadChoice readChoiceOf(const Invocation& invocation) {
  return {.asks = invocation.has("--stale") ? Asks::ANYONE : Asks::LEADER};
}

}  // namespace muster::cli
