#include "worker/coordinator_link.h"

#include "base/kj_time.h"
#include "protocol/codec.h"
#include "protocol/report_change.h"
#include "protocol/stage.h"

#include <kj/debug.h>

#include <algorithm>
#include <optional>

namespace muster::worker {
namespace {

// Whether the same may work in a moment; everything else is somebody's to repair.
bool isPassing(const kj::Exception& why) {
  return why.getType() == kj::Exception::Type::DISCONNECTED ||
         why.getType() == kj::Exception::Type::OVERLOADED;
}

// A refusal as the exception that ends this connection.
[[noreturn]] void fail(const Refusal& refusal) {
  auto type = refusalInfo(refusal.code).retryable ? kj::Exception::Type::OVERLOADED
                                                  : kj::Exception::Type::FAILED;
  kj::throwFatalException(kj::Exception(
      type, __FILE__, __LINE__, kj::str(toText(refusal.code).c_str(), " ", refusal.text.c_str())));
  KJ_UNREACHABLE;
}

// The answer alone, as deadlines want it.
template <class Results>
kj::Promise<capnp::Response<Results>> withoutPipeline(capnp::RemotePromise<Results> sent) {
  return sent.then([](capnp::Response<Results>&& response) { return kj::mv(response); });
}

AttachAccepted decodeAccepted(schema::AttachAnswer::Accepted::Reader in) {
  return {.token = decode(in.getToken()),
          .coordinator = {std::string(in.getCoordinator().cStr())},
          .leading = in.getLeading(),
          .heartbeat = Duration{int64_t{in.getHeartbeatMs()} * 1'000'000}};
}

HeartbeatAnswer decodeAnswer(schema::HeartbeatAnswer::Reader in) {
  return {.token = decode(in.getToken()),
          .leading = in.getLeading(),
          .leaseRemaining = Duration{int64_t{in.getLeaseRemainingMs()} * 1'000'000},
          .kept = in.getKept(),
          .next = Duration{int64_t{in.getNextMs()} * 1'000'000}};
}

// Most beats of a coordinator that keeps our report say nothing; without a size kj takes 8 kB, and
// clears them.
kj::Maybe<capnp::MessageSize> sizeOf(const std::optional<NodeReport>& kept) {
  if (kept) return capnp::MessageSize{32, 0};
  return nullptr;
}

void tell(const NodeReport& report, const std::optional<NodeReport>& kept,
          schema::NodeReport::Builder out) {
  if (kept) {
    encode(changeBetween(*kept, report), out);
  } else {
    encode(report, out);
  }
}

}  // namespace

CoordinatorLink::CoordinatorLink(LinkEnvironment environment, LinkOwner& owner, std::string address,
                                 LinkPolicy policy)
    : environment_(kj::mv(environment)),
      owner_(owner),
      policy_(policy),
      lost_(policy.lost, environment_.random),
      unhurried_(policy.unhurried, environment_.random),
      refused_(policy.refused, environment_.random) {
  status_.address = std::move(address);
}

Co<void> CoordinatorLink::runCo() {
  for (;;) {
    kj::Maybe<kj::Exception> failure;
    status_.state = LinkState::CONNECTING;
    status_.attempts++;
    try {
      co_await serve();
    } catch (const kj::Exception& exception) {
      failure = exception;
    }
    Duration delay = policy_.lost.delayMin;
    KJ_IF_MAYBE (why, failure) {
      delay = ended(*why);
    }
    co_await rest(delay);
  }
}

Co<void> CoordinatorLink::rest(Duration delay) {
  uint32_t unled = 0;
  while (delay > Duration{} && unled < policy_.unledLooksMax) {
    Duration step = std::min(delay, policy_.ledLook);
    co_await environment_.timer.afterDelay(toKj(step));
    delay = delay - step;
    unled = owner_.isLed() ? 0 : unled + 1;
  }
}

// One connection, from dialling to its end, which is always an exception.
Co<void> CoordinatorLink::serve() {
  auto connection = co_await connectRpc(environment_.transport, environment_.timer, status_.address,
                                        Role::COORDINATOR);
  status_.coordinator = connection->peer().name;
  schema::WorkerSession::Client session = nullptr;
  auto gate = connection->bootstrap<schema::Gate>();
  auto accepted = co_await attach(gate, &session);
  attached(accepted);
  session_ = session;
  // A coordinator that tells no news is heard of by its heartbeats.
  auto listening = listen(gate, accepted).asPromise().eagerlyEvaluate([](kj::Exception&&) {});
  auto broken = connection->onDisconnect().then(
      [] { kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the coordinator hung up")); });
  co_await beat(session, accepted.heartbeat).asPromise().exclusiveJoin(kj::mv(broken));
}

Co<AttachAccepted> CoordinatorLink::attach(schema::Gate::Client gate,
                                           schema::WorkerSession::Client* session) {
  auto request = gate.workerRequest().send().getGate().attachRequest();  // one round trip
  encode(owner_.hello(), request.initHello());
  request.setAgent(owner_.agentFor(status_.coordinator));
  auto sent = withoutPipeline(request.send());
  auto response = co_await withDeadline(environment_.timer, policy_.attachDeadline,
                                        "attaching to " + status_.address, kj::mv(sent));
  auto answer = response.getAnswer();
  if (answer.isRefusal()) fail(decode(answer.getRefusal()));
  AttachAccepted accepted = decodeAccepted(answer.getAccepted());
  auto seen = owner_.sawToken(accepted.token, status_.coordinator);
  if (!seen) fail(seen.refusal());
  *session = response.getSession();
  co_return accepted;
}

void CoordinatorLink::attached(const AttachAccepted& accepted) {
  status_.state = LinkState::ATTACHED;
  status_.problem.clear();
  attachedAt_ = environment_.clock.steadyNow();
  refused_.reset();
  environment_.logger.info("attached", {{"coordinator", status_.coordinator},
                                        {"address", status_.address},
                                        {"leading", accepted.leading},
                                        {"epoch", accepted.token.epoch}});
}

// A coordinator that has begun to lead gets a heartbeat at once. It tells its workers one after the
// other, so they do not come all in one moment.
Co<void> CoordinatorLink::listen(schema::Gate::Client gate, AttachAccepted accepted) {
  uint64_t epoch = accepted.token.epoch.value;
  bool serving = accepted.leading;
  for (;;) {
    auto request = gate.followRequest();
    request.setEpoch(epoch);
    request.setServing(serving);
    auto response = co_await withoutPipeline(request.send());
    auto info = response.getInfo();
    epoch = info.getEpoch();
    serving = static_cast<Stage>(info.getStage()) == Stage::SERVING;
    if (serving) leads_.fire();
  }
}

Co<void> CoordinatorLink::beat(schema::WorkerSession::Client session, Duration interval) {
  std::optional<NodeReport> kept;  // by the coordinator: the next beat tells what has changed
  for (;;) {
    uint64_t changes = owner_.changes().count();
    uint64_t news = leads_.count();
    SteadyTime sentAt = environment_.clock.steadyNow();
    NodeReport report = owner_.report();
    auto request = session.heartbeatRequest(sizeOf(kept));
    tell(report, kept, request.initReport());
    auto sent = withoutPipeline(request.send());
    auto response = co_await withDeadline(environment_.timer, policy_.heartbeatDeadline,
                                          "a heartbeat to " + status_.address, kj::mv(sent));
    HeartbeatAnswer answer = decodeAnswer(response.getAnswer());
    bool isKept = answer.kept != 0 && answer.kept == report.sequence;
    kept = isKept ? std::optional(std::move(report)) : std::nullopt;
    take(answer, sentAt);
    Duration next = answer.next.nanos == 0 ? interval : answer.next;
    if (leads_.count() == news) co_await nextBeat(changes, next);
  }
}

kj::Promise<Result<WeightSources>> CoordinatorLink::weightSources(RankRef rank) {
  KJ_IF_MAYBE (session, session_) {
    auto request = session->weightSourcesRequest();
    encode(rank, request.initRank());
    auto answer = request.send().then(
        [](capnp::Response<schema::WorkerSession::WeightSourcesResults>&& response)
            -> Result<WeightSources> {
          if (response.getRefusal().getCode() != 0) return decode(response.getRefusal());
          return decode(response.getSources());
        });
    return withDeadline(environment_.timer, policy_.questionDeadline,
                        "asking " + status_.address + " where weights are", kj::mv(answer));
  }
  return KJ_EXCEPTION(DISCONNECTED, "not attached");
}

void CoordinatorLink::take(const HeartbeatAnswer& answer, SteadyTime sentAt) {
  auto seen = owner_.sawToken(answer.token, status_.coordinator);
  if (!seen) fail(seen.refusal());
  bool leading = owner_.answered(sentAt, answer);
  if (leading && !status_.leading) {
    environment_.logger.info("this coordinator leads",
                             {{"coordinator", status_.coordinator}, {"epoch", answer.token.epoch}});
  }
  status_.leading = leading;
}

// After the interval, or at once when this coordinator begins to lead. A leader hears soon of a
// change; to another coordinator it would mean nothing.
kj::Promise<void> CoordinatorLink::nextBeat(uint64_t changesToldOf, Duration interval) {
  Duration wait = std::clamp(interval, policy_.heartbeatMin, policy_.heartbeatMax);
  auto due = environment_.timer.afterDelay(toKj(wait)).exclusiveJoin(leads_.next());
  if (!status_.leading) return due;
  auto changed = owner_.changes().count() != changesToldOf ? kj::Promise<void>(kj::READY_NOW)
                                                           : owner_.changes().next();
  auto soon =
      changed.then([this] { return environment_.timer.afterDelay(toKj(policy_.changeGap)); });
  return due.exclusiveJoin(kj::mv(soon));
}

// Says why the connection ended, once per reason, and how long to wait before the next one.
Duration CoordinatorLink::ended(const kj::Exception& why) {
  bool wasAttached = status_.state == LinkState::ATTACHED;
  session_ = nullptr;
  std::string problem = why.getDescription().cStr();
  bool news = wasAttached || problem != status_.problem;
  status_.state = LinkState::WAITING;
  status_.leading = false;
  status_.problem = problem;
  if (wasAttached && environment_.clock.steadyNow() - attachedAt_ >= policy_.settled) lost_.reset();
  bool passing = isPassing(why) || wasAttached;
  LogLevel level = passing ? LogLevel::WARN : LogLevel::ERROR;
  if (news) {
    environment_.logger.log(level, wasAttached ? "connection lost" : "cannot attach",
                            {{"address", status_.address}, {"why", problem}});
  }
  if (!passing) return policy_.refused.delayMin + refused_.next();
  bool isGone = !wasAttached && nobodyListens(why);
  bool mayWait = owner_.isLed() || (isGone && owner_.isAttached());
  return mayWait ? unhurried_.next() : lost_.next();
}

}  // namespace muster::worker
