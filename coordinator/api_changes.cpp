#include "coordinator/api_changes.h"

#include "coordinator/objects/drain.h"
#include "protocol/names.h"

namespace muster::coordinator {
namespace {

using MakeObject = std::function<Json(const State& after, const Json& kept)>;

// One request that is one command. `object` is made from the state right after it and from the
// answer that apply has kept.
struct Change {
  CommandBody body;
  bool dryRun = false;
  MakeObject object;
};

std::string finished(Json object, LogIndex index, bool isDry) {
  object["index"] = index.value;
  if (isDry) object["dry_run"] = true;
  return toText(object);
}

AnswerPromise rehearse(ApiContext& context, Driver& driver, const ApiCall& call,
                       const Change& change) {
  State copy = driver.state();
  LogIndex index = copy.applied;
  // Without the request's id: a rehearsal is not the request.
  auto decision = decide(copy, {call.principal, {}, change.body}, context.coordinator.clusterNow(),
                         context.env().clock.wallNow());
  if (!decision) return refuseWhenProven(driver, decision.refusal());
  Command command = *decision->command;
  command.request = {{0, 1}, command.decidedAt};  // so that the answer is kept, in the copy only
  Applied applied = apply(copy, index.next(), command);
  if (applied.rejected) return refuseWhenProven(driver, *applied.rejected);
  Json kept = Json::parse(copy.findOutcome(command.request)->answer);
  Answer answer{finished(change.object(copy, kept), index, true), index};
  return driver.mayLeave(ReadMode::LINEARIZABLE)
      .then([answer = kj::mv(answer)]() mutable -> Result<Answer> { return kj::mv(answer); });
}

AnswerPromise submit(Driver& driver, const ApiCall& call, Change change) {
  auto submitted = driver.submit({call.principal, call.request, kj::mv(change.body)});
  // The state has the command already, unless it was refused or is a repetition.
  State const& after = driver.state();
  const Outcome* outcome = after.findOutcome(call.request);
  Json object;
  if (outcome != nullptr && !outcome->rejected) {
    object = change.object(after, Json::parse(outcome->answer));
  }
  return submitted.then([object = kj::mv(object)](Result<Outcome> outcome) -> Result<Answer> {
    if (!outcome) return outcome.refusal();
    if (outcome->rejected) return *outcome->rejected;
    return Answer{finished(object, outcome->index, false), outcome->index};
  });
}

AnswerPromise carryOut(ApiContext& context, const ApiCall& call, Change change) {
  KJ_IF_MAYBE (driver, context.coordinator.driver()) {
    if (change.dryRun) return rehearse(context, *driver, call, change);
    return submit(*driver, call, kj::mv(change));
  }
  return Result<Answer>(context.coordinator.notLeader());
}

// {"version":1,"kind":KIND,"tenant":..,"name":..,"uid":..,"revision":..}
Json deploymentAnswer(const std::string& kind, const DeploymentTarget& target, const Json& kept) {
  return {{"version", 1},
          {"kind", kind},
          {"tenant", target.tenant.value},
          {"name", target.name.value},
          {"uid", std::to_string(kept.at("uid").get<uint64_t>())},
          {"revision", kept.at("revision")},
          {"action", kept.at("change") == "unchanged" ? "none" : "change"}};
}

MakeObject nodeAnswer(const std::string& kind, const NodeName& node) {
  return [kind, node](const State&, const Json& kept) -> Json {
    return {{"version", 1}, {"kind", kind}, {"node", node.value}, {"phase", kept.at("phase")}};
  };
}

}  // namespace

AnswerPromise ApiChanges::remove(ApiCall call, std::string deployment, Revision expected,
                                 bool dryRun) {
  auto target = parseDeploymentTarget(deployment);
  if (!target) return Result<Answer>(target.refusal());
  return carryOut(context_, call,
                  {DeploymentDeleted{target->tenant, target->name, expected}, dryRun,
                   [target = *target](const State&, const Json& kept) {
                     return deploymentAnswer("deleted", target, kept);
                   }});
}

AnswerPromise ApiChanges::scale(ApiCall call, std::string deployment, uint32_t replicas,
                                Revision expected, bool dryRun) {
  auto target = parseDeploymentTarget(deployment);
  if (!target) return Result<Answer>(target.refusal());
  return carryOut(context_, call,
                  {DeploymentScaled{target->tenant, target->name, replicas, expected}, dryRun,
                   [target = *target, replicas](const State&, const Json& kept) {
                     Json object = deploymentAnswer("scaled", target, kept);
                     object["replicas"] = replicas;
                     return object;
                   }});
}

AnswerPromise ApiChanges::cordon(ApiCall call, NodeName node, std::string reason, bool dryRun) {
  auto object = nodeAnswer("cordoned", node);
  return carryOut(context_, call, {NodeCordoned{node, kj::mv(reason)}, dryRun, kj::mv(object)});
}

AnswerPromise ApiChanges::uncordon(ApiCall call, NodeName node, bool dryRun) {
  auto object = nodeAnswer("uncordoned", node);
  return carryOut(context_, call, {NodeUncordoned{node}, dryRun, kj::mv(object)});
}

AnswerPromise ApiChanges::drain(ApiCall call, NodeName node, std::string reason, bool force,
                                bool dryRun) {
  auto object = [node](const State& after, const Json& kept) -> Json {
    Json answer = {
        {"version", 1}, {"kind", "draining"}, {"node", node.value}, {"phase", kept.at("phase")}};
    answer.update(drainProgress(after, node));
    return answer;
  };
  return carryOut(context_, call,
                  {NodeDrainStarted{node, kj::mv(reason), force}, dryRun, kj::mv(object)});
}

}  // namespace muster::coordinator
