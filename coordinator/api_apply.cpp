// apply and plan: documents of deployments.
#include "base/co.h"
#include "coordinator/api_changes.h"
#include "coordinator/core/record.h"
#include "coordinator/plan_object.h"
#include "protocol/deployment_yaml.h"

namespace muster::coordinator {
namespace {

constexpr size_t DOCUMENTS_MAX = 64;  // of one call

using Documents = std::vector<DeploymentSpec>;

Result<Documents> readDocuments(const std::string& text, const std::string& fileName) {
  auto documents = parseDeployments(text, fileName);
  if (!documents || documents->size() <= DOCUMENTS_MAX) return documents;
  return Refusal{RefusalCode::TOO_LARGE, "the file has " + std::to_string(documents->size()) +
                                             " documents, one call takes " +
                                             std::to_string(DOCUMENTS_MAX)};
}

// Models of native engines must be known before anything is decided.
Co<Result<Done>> ensureModels(Coordinator& coordinator, Documents documents) {
  for (const DeploymentSpec& document : documents) {
    if (document.engine.kind != EngineKind::NATIVE) continue;
    auto manifest = co_await coordinator.ensureModel(document.model.source);
    if (!manifest) co_return manifest.refusal();
  }
  co_return Done{};
}

// What workers said of a model, or that none could be asked, means something only while we lead.
AnswerPromise refuseNow(ApiContext& context, Refusal refusal) {
  KJ_IF_MAYBE (driver, context.coordinator.driver()) {
    return refuseWhenProven(*driver, kj::mv(refusal));
  }
  return Result<Answer>(context.coordinator.notLeader());
}

DryRunInput inputOf(ApiContext& context, const ApiCall& call, Revision expected) {
  return {call.principal, context.coordinator.clusterNow(), context.env().clock.wallNow(),
          expected};
}

Json appliedRow(const DeploymentSpec& spec, DeploymentUid uid, Revision revision,
                std::string_view action) {
  return {{"tenant", spec.tenant.value},
          {"name", spec.name.value},
          {"uid", std::to_string(uid.value)},
          {"revision", revision.value},
          {"action", action}};
}

Json appliedObject(Json rows, LogIndex index) {
  return {{"version", 1},
          {"kind", "applied"},
          {"deployments", std::move(rows)},
          {"index", index.value}};
}

std::string_view actionOf(const std::string& change) {
  if (change == "created") return "add";
  return change == "unchanged" ? "none" : "change";
}

// From what apply has kept of a request: {"deployment":"default/chat","uid":3,"revision":2,...}.
Json rowOf(const std::string& answer) {
  Json kept = Json::parse(answer);
  std::string name = kept.at("deployment");
  size_t slash = name.find('/');
  return {{"tenant", name.substr(0, slash)},
          {"name", name.substr(slash + 1)},
          {"uid", std::to_string(kept.at("uid").get<uint64_t>())},
          {"revision", kept.at("revision")},
          {"action", actionOf(kept.at("change"))}};
}

Result<Answer> joinOutcomes(const std::vector<Result<Outcome>>& outcomes) {
  Json rows = Json::array();
  LogIndex index;
  for (const auto& outcome : outcomes) {
    if (!outcome) return outcome.refusal();
    if (outcome->rejected) return *outcome->rejected;
    rows.push_back(rowOf(outcome->answer));
    index = std::max(index, outcome->index);
  }
  return Answer{toText(appliedObject(std::move(rows), index)), index};
}

AnswerPromise joinSubmitted(kj::Array<kj::Promise<Result<Outcome>>> submitted) {
  return kj::joinPromises(kj::mv(submitted)).then([](kj::Array<Result<Outcome>> outcomes) {
    return joinOutcomes({outcomes.begin(), outcomes.end()});
  });
}

// The plan's places become commands right behind the documents, before anything else can want the
// devices. Generations are those that the state gives out now.
void proposePlaces(Driver& driver, const KeptPlan& plan, const std::string& principal,
                   Random& random) {
  for (ReplicaPlaced placed : plan.placed) {
    const DeploymentState* deployment = driver.state().findDeployment(placed.deployment);
    if (deployment == nullptr) continue;
    const auto* replica = driver.state().findReplica(placed.deployment, placed.replica);
    if (replica == nullptr || replica->current) continue;  // a running one ends first
    placed.generation = deployment->nextGeneration;
    placed.revision = deployment->revision;
    for (size_t i = 0; i < placed.secret.size(); ++i) {
      placed.secret[i] = static_cast<uint8_t>(random.next());
    }
    // One that is refused is left to the leader's next look.
    (void)driver.propose(placed, principal);
  }
}

class Apply {
 public:
  Apply(ApiContext& context, ApiCall call, ApplyCall what)
      : context_(context), call_(std::move(call)), what_(std::move(what)) {}

  AnswerPromise run(Documents documents, const KeptPlan* plan) {
    KJ_IF_MAYBE (driver, context_.coordinator.driver()) {
      if (what_.expectedRevision.value != 0 && documents.size() > 1) {
        return Result<Answer>(
            Refusal{RefusalCode::INVALID_VALUE, "a revision is expected of " +
                                                    std::to_string(documents.size()) +
                                                    " documents; give it with a single one"});
      }
      return runOn(*driver, kj::mv(documents), plan);
    }
    return Result<Answer>(context_.coordinator.notLeader());
  }

 private:
  AnswerPromise runOn(Driver& driver, Documents documents, const KeptPlan* plan) {
    bool isRetry = driver.state().findOutcome(documentRequest(call_.request, 0, documents.size()));
    if (!isRetry || what_.dryRun) {
      if (plan != nullptr) {
        if (auto stale = stalenessNow(driver, *plan)) return refuseWhenProven(driver, *stale);
      }
      // A single document is checked by its own decision.
      if (documents.size() > 1 || what_.dryRun) {
        auto run =
            tryChanges(driver.state(), documents, inputOf(context_, call_, what_.expectedRevision));
        if (!run) return refuseWhenProven(driver, run.refusal());
        if (what_.dryRun) return dryAnswer(driver, *run);
      }
    }
    return submit(driver, kj::mv(documents), isRetry ? nullptr : plan);
  }

  std::optional<Refusal> stalenessNow(Driver& driver, const KeptPlan& plan) {
    const Observed* observed = context_.coordinator.observed();
    if (observed == nullptr) return context_.coordinator.notLeader();
    return staleness(plan, driver.state(),
                     placementInputs(driver.state(), *observed, context_.coordinator.clusterNow()));
  }

  AnswerPromise dryAnswer(Driver& driver, const DryRun& run) {
    Json rows = Json::array();
    for (const DryChange& change : run.changes) {
      const DeploymentState& after = *run.after.findDeployment(change.uid);
      bool changed = change.revisionBefore != change.revisionAfter;
      std::string_view action = !change.before ? "add" : changed ? "change" : "none";
      rows.push_back(appliedRow(after.spec, after.uid, after.revision, action));
    }
    LogIndex index = driver.state().applied;
    Json object = appliedObject(std::move(rows), index);
    object["dry_run"] = true;
    return driver.mayLeave(ReadMode::LINEARIZABLE)
        .then([answer = Answer{toText(object), index}]() -> Result<Answer> { return answer; });
  }

  // All in one turn of the event loop: nothing comes between the documents.
  AnswerPromise submit(Driver& driver, Documents documents, const KeptPlan* plan) {
    auto submitted = kj::heapArrayBuilder<kj::Promise<Result<Outcome>>>(documents.size());
    for (size_t i = 0; i < documents.size(); ++i) {
      Request request{call_.principal, documentRequest(call_.request, i, documents.size()),
                      DeploymentApplied{documents[i], {}, what_.expectedRevision}};
      submitted.add(driver.submit(kj::mv(request)));
    }
    if (plan != nullptr) {
      proposePlaces(driver, *plan, "coordinator/" + context_.coordinator.settings().id.value,
                    context_.env().random);
    }
    return joinSubmitted(submitted.finish());
  }

  ApiContext& context_;
  ApiCall call_;
  ApplyCall what_;
};

// A plan that is gone may have been carried out by this very request.
Result<Answer> fromOutcomes(const State& state, const ApiCall& call, const std::string& planId) {
  for (size_t count = 1; count <= DOCUMENTS_MAX; ++count) {
    std::vector<Result<Outcome>> outcomes;
    for (size_t i = 0; i < count; ++i) {
      const Outcome* outcome = state.findOutcome(documentRequest(call.request, i, count));
      if (outcome == nullptr) break;
      outcomes.emplace_back(*outcome);
    }
    if (outcomes.size() == count) return joinOutcomes(outcomes);
  }
  return Refusal{RefusalCode::PLAN_UNKNOWN,
                 "the leader keeps no plan " + planId +
                     "; plans are forgotten when another "
                     "coordinator leads, and the oldest when there are many",
                 {},
                 {"plan again"}};
}

AnswerPromise applyPlan(ApiContext& context, ApiCall call, ApplyCall what) {
  KJ_IF_MAYBE (driver, context.coordinator.driver()) {
    const KeptPlan* plan = context.plans.find(what.planId);
    if (plan != nullptr) {
      Documents documents = plan->documents;
      return Apply(context, kj::mv(call), kj::mv(what)).run(kj::mv(documents), plan);
    }
    auto answer = fromOutcomes(driver->state(), call, what.planId);
    return driver->mayLeave(ReadMode::LINEARIZABLE).then([answer = kj::mv(answer)]() mutable {
      return kj::mv(answer);
    });
  }
  return Result<Answer>(context.coordinator.notLeader());
}

AnswerPromise planNow(ApiContext& context, const ApiCall& call, const Documents& documents,
                      ShowCommands show) {
  const Observed* observed = context.coordinator.observed();
  KJ_IF_MAYBE (driver, context.coordinator.driver()) {
    if (observed == nullptr) return Result<Answer>(context.coordinator.notLeader());
    const State& state = driver->state();
    DryRunInput input = inputOf(context, call, {});
    auto run = dryRun(state, *observed, documents, input, context.env().random);
    if (!run) return refuseWhenProven(*driver, run.refusal());
    KeptPlan plan{.documents = documents,
                  .revisionsBefore = {},
                  .inputs = placementInputs(state, *observed, input.now),
                  .clusterRevision = state.applied,
                  .placed = run->placed};
    for (const DryChange& change : run->changes) {
      plan.revisionsBefore.push_back(change.revisionBefore);
    }
    const KeptPlan& kept = context.plans.keep(std::move(plan), context.env().random);
    Answer answer{toText(planObject(kept, *run, input.now, show)), state.applied};
    return driver->mayLeave(ReadMode::LINEARIZABLE)
        .then([answer = kj::mv(answer)]() mutable -> Result<Answer> { return kj::mv(answer); });
  }
  return Result<Answer>(context.coordinator.notLeader());
}

Co<Result<Answer>> planCo(ApiContext& context, ApiCall call, PlanCall what) {
  if (!context.coordinator.leading()) co_return context.coordinator.notLeader();
  auto documents = readDocuments(what.documents, what.fileName);
  if (!documents) co_return documents.refusal();
  auto models = co_await ensureModels(context.coordinator, *documents);
  if (!models) co_return co_await refuseNow(context, models.refusal());
  co_return co_await planNow(context, call, *documents, what.show);
}

Co<Result<Answer>> applyCo(ApiContext& context, ApiCall call, ApplyCall what) {
  if (!context.coordinator.leading()) co_return context.coordinator.notLeader();
  auto documents = readDocuments(what.documents, what.fileName);
  if (!documents) co_return documents.refusal();
  auto models = co_await ensureModels(context.coordinator, *documents);
  if (!models) co_return co_await refuseNow(context, models.refusal());
  Apply apply(context, kj::mv(call), kj::mv(what));
  co_return co_await apply.run(kj::mv(*documents), nullptr);
}

}  // namespace

RequestId documentRequest(const RequestId& call, size_t place, size_t count) {
  if (count == 1 || call.guid.isNull()) return call;
  Guid guid = recordHash(toText(call.guid), std::to_string(place) + " of " + std::to_string(count));
  return {guid, call.clusterTime};
}

AnswerPromise ApiChanges::plan(ApiCall call, PlanCall what) {
  return planCo(context_, kj::mv(call), kj::mv(what));
}

AnswerPromise ApiChanges::apply(ApiCall call, ApplyCall what) {
  if (what.planId.empty()) return applyCo(context_, kj::mv(call), kj::mv(what));
  if (what.documents.empty()) return applyPlan(context_, kj::mv(call), kj::mv(what));
  return Result<Answer>(Refusal{RefusalCode::INVALID_VALUE,
                                "documents and a plan were given; apply takes one of them"});
}

}  // namespace muster::coordinator
