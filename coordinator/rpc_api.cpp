#include "coordinator/rpc_api.h"

#include "base/exception_refusal.h"
#include "coordinator/api_admin.h"
#include "coordinator/api_changes.h"
#include "coordinator/api_reads.h"
#include "coordinator/authorization.h"
#include "coordinator/backup_api.h"
#include "coordinator/history_api.h"
#include "coordinator/history_part.h"
#include "coordinator/request_key.h"
#include "protocol/codec.h"

namespace muster::coordinator {
namespace {

enum class CallKind { READ, CHANGE, STATUS };  // STATUS: of the coordinators, not of the state
enum class WaitsFor { THE_LOG, NOBODY };  // what a call needs: a proof by the log, or this process

std::string text(capnp::Text::Reader in) { return {in.begin(), in.size()}; }

// What an exception means to who called: one of the leadership's end is no fault of anybody.
Refusal refusalFor(const kj::Exception& exception, CallKind kind, Coordinator& coordinator) {
  if (exception.getType() == kj::Exception::Type::DISCONNECTED) {
    if (kind != CallKind::CHANGE) return coordinator.notLeader();
    return {RefusalCode::OUTCOME_UNKNOWN,
            "this coordinator stopped leading before the outcome was known; ask again with the "
            "same request id"};
  }
  Refusal refusal = refusalOf(exception);
  bool isBusy = exception.getType() == kj::Exception::Type::OVERLOADED;
  if (isBusy && refusal.code == RefusalCode::INTERNAL) refusal.code = RefusalCode::OVERLOADED;
  return refusal;
}

class ClusterApi final : public Authorized<schema::PeerServices> {
 public:
  ClusterApi(ApiContext& context, kj::Maybe<const HistoryStore&> store, const RpcPeer& peer)
      : Authorized(peer.identity, context.env().logger),
        context_(context),
        store_(store),
        changes_(context),
        reads_(context),
        admin_(context) {}

  kj::Promise<void> plan(PlanContext context) override {
    auto in = context.getParams();
    return answer(context, "plan", CallKind::READ, [&](ApiCall call) {
      PlanCall what{text(in.getDocuments()), text(in.getFileName()),
                    in.getShowCommands() ? ShowCommands::YES : ShowCommands::NO};
      return changes_.plan(kj::mv(call), kj::mv(what));
    });
  }

  kj::Promise<void> apply(ApplyContext context) override {
    auto in = context.getParams();
    return change(context, "apply", in.getDryRun(), [&](ApiCall call) {
      ApplyCall what{text(in.getDocuments()), text(in.getFileName()), text(in.getPlanId()),
                     Revision{in.getExpectedRevision()}, in.getDryRun()};
      return changes_.apply(kj::mv(call), kj::mv(what));
    });
  }

  kj::Promise<void> delete_(DeleteContext context) override {
    auto in = context.getParams();
    return change(context, "delete", in.getDryRun(), [&](ApiCall call) {
      return changes_.remove(kj::mv(call), text(in.getDeployment()),
                             Revision{in.getExpectedRevision()}, in.getDryRun());
    });
  }

  kj::Promise<void> scale(ScaleContext context) override {
    auto in = context.getParams();
    return change(context, "scale", in.getDryRun(), [&](ApiCall call) {
      return changes_.scale(kj::mv(call), text(in.getDeployment()), in.getReplicas(),
                            Revision{in.getExpectedRevision()}, in.getDryRun());
    });
  }

  kj::Promise<void> cordon(CordonContext context) override {
    auto in = context.getParams();
    return change(context, "cordon", in.getDryRun(), [&](ApiCall call) {
      return changes_.cordon(kj::mv(call), {text(in.getNode())}, text(in.getReason()),
                             in.getDryRun());
    });
  }

  kj::Promise<void> uncordon(UncordonContext context) override {
    auto in = context.getParams();
    return change(context, "uncordon", in.getDryRun(), [&](ApiCall call) {
      return changes_.uncordon(kj::mv(call), {text(in.getNode())}, in.getDryRun());
    });
  }

  kj::Promise<void> drain(DrainContext context) override {
    auto in = context.getParams();
    return change(context, "drain", in.getDryRun(), [&](ApiCall call) {
      return changes_.drain(kj::mv(call), {text(in.getNode())}, text(in.getReason()), in.getForce(),
                            in.getDryRun());
    });
  }

  kj::Promise<void> get(GetContext context) override {
    auto in = context.getParams();
    auto get = [&](ApiCall call) {
      return reads_.get(kj::mv(call), text(in.getKind()), text(in.getTarget()),
                        readCall(in.getOptions()));
    };
    return answer(context, "get", CallKind::READ, get, waitsFor(in.getOptions()));
  }

  kj::Promise<void> why(WhyContext context) override {
    auto in = context.getParams();
    auto why = [&](ApiCall call) {
      return reads_.why(kj::mv(call), text(in.getDeployment()), readCall(in.getOptions()));
    };
    return answer(context, "why", CallKind::READ, why, waitsFor(in.getOptions()));
  }

  kj::Promise<void> logs(LogsContext context) override {
    auto in = context.getParams();
    return answer(context, "logs", CallKind::READ, [&](ApiCall call) {
      return reads_.logs(kj::mv(call), text(in.getTarget()), in.getLinesMax(), in.getFirstError());
    });
  }

  kj::Promise<void> adminStatus(AdminStatusContext context) override {
    auto status = [&](ApiCall call) { return admin_.status(kj::mv(call)); };
    return answer(context, "adminStatus", CallKind::STATUS, status, WaitsFor::NOBODY);
  }

  kj::Promise<void> stepDown(StepDownContext context) override {
    auto in = context.getParams();
    return answer(context, "stepDown", CallKind::CHANGE, [&](ApiCall call) {
      return admin_.stepDown(kj::mv(call), {text(in.getSuccessor())});
    });
  }

  kj::Promise<void> backup(BackupContext context) override {
    Freshness freshness = context.getParams().getStale() ? Freshness::STALE : Freshness::PROVEN;
    return answer(context, "backup", CallKind::READ, [&](ApiCall call) {
      return openBackup(context_, kj::mv(call), freshness)
          .then([this, context](Result<OpenedBackup> opened) mutable -> Result<Answer> {
            if (!opened) return opened.refusal();
            auto stream = serveBackup(kj::mv(opened->stream), context_.env(), caller());
            context.getResults().setBackup(kj::mv(stream));
            return kj::mv(opened->answer);
          });
    });
  }

  kj::Promise<void> history(HistoryContext context) override {
    auto in = context.getParams();
    return answer(context, "history", CallKind::READ, [&](ApiCall call) {
      return answerHistory(context_, kj::mv(call), {{in.getIndex()}, {in.getWallMs()}},
                           {text(in.getKind()), text(in.getTarget())});
    });
  }

  kj::Promise<void> olderRows(OlderRowsContext context) override {
    auto in = context.getParams();
    auto out = context.getResults().initPart();
    auto meta = context_.env().store.meta();
    KJ_IF_MAYBE (store, store_) {
      if (!meta) return kj::READY_NOW;
      auto part = coordinator::olderRows(*meta, *store, decode(in.getHistory()),
                                         LogIndex{in.getFrom()}, LogIndex{in.getBefore()});
      if (part) encodeHistoryPart(*part, out);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> actFor(ActForContext context) override {
    auto in = context.getParams();
    auto client = parseCommonName(text(in.getCaller()));
    KJ_REQUIRE(client.has_value(), "a caller is named role/name", in.getCaller());
    RpcPeer peer{*client, text(in.getAddress())};
    context.getResults().setApi(kj::heap<ClusterApi>(context_, store_, peer));
    return kj::READY_NOW;
  }

 private:
  static ReadCall readCall(schema::ReadOptions::Reader in) {
    return {in.getStale(), LogIndex{in.getAfterIndex()},
            Duration{int64_t{in.getWaitMs()} * 1'000'000}};
  }

  static WaitsFor waitsFor(schema::ReadOptions::Reader in) {
    return in.getStale() ? WaitsFor::NOBODY : WaitsFor::THE_LOG;
  }

  // Indices count within one history: those of an earlier one are nothing to us, and who has seen a
  // later one must not be answered from before it.
  Result<ApiCall> callOf(schema::CallHeader::Reader header, CallKind kind) {
    ApiCall call{commonName(caller()), decode(header.getRequest()), {header.getLastIndex()}};
    HistoryId own = context_.coordinator.token().history;
    HistoryId seen = header.hasHistory() ? decode(header.getHistory()) : own;
    if (seen.number > own.number && kind != CallKind::STATUS) {
      return Refusal{RefusalCode::OVERLOADED, "coordinator " + context_.coordinator.id().value +
                                                  " is of history " + std::to_string(own.number) +
                                                  ", this client has seen history " +
                                                  std::to_string(seen.number) + "; ask again"};
    }
    if (seen != own) call.lastIndex = {};
    if (isTimeless(call.request)) {
      call.request = requestOf(context_.coordinator.state(), call.request.guid,
                               context_.coordinator.clusterNow());
    }
    return call;
  }

  // A change needs an id, for without one a retry would be a second change.
  template <class Context, class Function>
  kj::Promise<void> change(Context context, const char* method, bool isDry, Function function) {
    return answer(context, method, CallKind::CHANGE, [&](ApiCall call) -> AnswerPromise {
      if (call.request.guid.isNull() && !isDry) {
        return Result<Answer>(
            Refusal{RefusalCode::INVALID_VALUE, "a change must carry a request id"});
      }
      if (auto away = context_.coordinator.cutOff()) return Result<Answer>(kj::mv(*away));
      return function(kj::mv(call));
    });
  }

  // `function` reads the parameters before it returns.
  template <class Context, class Function>
  kj::Promise<void> answer(Context context, const char* method, CallKind kind, Function function,
                           WaitsFor waits = WaitsFor::THE_LOG) {
    SteadyTime began = context_.env().clock.steadyNow();
    auto answered = kj::evalNow([&]() -> AnswerPromise {
      auto call = callOf(context.getParams().getHeader(), kind);
      if (!call) return Result<Answer>(call.refusal());
      return function(kj::mv(*call));
    });
    if (waits == WaitsFor::THE_LOG) answered = bounded(kj::mv(answered), kind);
    context.releaseParams();
    context.allowCancellation();
    return answered
        .catch_([this, kind, method](kj::Exception&& why) -> Result<Answer> {
          if (why.getType() == kj::Exception::Type::FAILED) {
            logger().error("a call failed", {{"method", method}, {"why", why}});
          }
          return refusalFor(why, kind, context_.coordinator);
        })
        .then([this, context, method, began](Result<Answer> answer) mutable {
          count(method, began, answer);
          fill(context.getResults().initOutcome(), answer);
        });
  }

  // While the coordination service is away nobody knows for how long: a caller is told so and may
  // ask again with the same id.
  AnswerPromise bounded(AnswerPromise answered, CallKind kind) {
    if (kind == CallKind::CHANGE && context_.coordinator.cutOff()) return answered;  // not begun
    auto away = context_.coordinator.whenCutOff().then([this, kind]() -> Result<Answer> {
      Refusal refusal = context_.coordinator.notLeader();
      if (kind == CallKind::CHANGE) refusal.code = RefusalCode::OUTCOME_UNKNOWN;
      return refusal;
    });
    return answered.exclusiveJoin(kj::mv(away));
  }

  void count(const char* method, SteadyTime began, const Result<Answer>& answer) {
    context_.calls.rpc[method].add(context_.env().clock.steadyNow() - began);
    if (!answer) context_.calls.rpcErrors[{method, toText(answer.refusal().code)}]++;
  }

  void fill(schema::Outcome::Builder out, const Result<Answer>& answer) {
    out.setEpoch(context_.coordinator.token().epoch.value);
    if (!answer) {
      encode(answer.refusal(), out.initRefusal());
      out.setIndex(context_.coordinator.facts().committedIndex.value);
      return;
    }
    out.setJson(answer->json.c_str());
    out.setIndex(answer->index.value);
    out.setStale(answer->stale);
    out.setAgeMs(static_cast<uint32_t>(std::clamp<int64_t>(answer->age.millis(), 0, UINT32_MAX)));
  }

  ApiContext& context_;
  kj::Maybe<const HistoryStore&> store_;
  ApiChanges changes_;
  ApiReads reads_;
  ApiAdmin admin_;
};

}  // namespace

ApiFactory makeRpcApi(ApiContext& context, kj::Maybe<const HistoryStore&> store) {
  return [&context, store](const RpcPeer& peer) -> schema::ClusterApi::Client {
    return kj::heap<ClusterApi>(context, store, peer);
  };
}

}  // namespace muster::coordinator
