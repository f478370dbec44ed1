#include "coordinator/core/check.h"
#include "coordinator/core/hints.h"
#include "coordinator/core/limits.h"
#include "protocol/names.h"

namespace muster::coordinator {
namespace {

std::string nameOf(const TenantName& tenant, const DeploymentName& name) {
  return tenant.value + "/" + name.value;
}

Refusal notFound(const State& state, const TenantName& tenant, const DeploymentName& name) {
  std::vector<std::string> known;
  for (const auto& [key, uid] : state.deploymentByName) {
    if (key.first == tenant) known.push_back(key.second.value);
  }
  return {RefusalCode::NOT_FOUND,
          "there is no deployment \"" + nameOf(tenant, name) + "\"" + hint(name.value, known)};
}

std::optional<Refusal> checkRevision(const DeploymentState& deployment, Revision expected) {
  if (expected.value == 0 || expected == deployment.revision) return std::nullopt;
  return Refusal{RefusalCode::REVISION_CONFLICT,
                 nameOf(deployment.spec.tenant, deployment.spec.name) + " is at revision " +
                     std::to_string(deployment.revision.value) + ", expected " +
                     std::to_string(expected.value),
                 {},
                 {"muster describe " + deployment.spec.name.value}};
}

std::optional<Refusal> checkNotDeleting(const State& state, const DeploymentState& deployment) {
  if (!deployment.deleting) return std::nullopt;
  std::string waitsFor;
  for (const auto& [ref, retired] : state.retired) {
    if (ref.deployment != deployment.uid) continue;
    for (const auto& [number, rank] : retired.ranks) {
      if (waitsFor.find(rank.node.value) == std::string::npos) waitsFor += " " + rank.node.value;
    }
  }
  std::string text = nameOf(deployment.spec.tenant, deployment.spec.name) + " is being deleted";
  if (!waitsFor.empty()) text += "; it waits for its ranks to stop on" + waitsFor;
  return Refusal{RefusalCode::REVISION_CONFLICT, text, {}, {"run the same command again"}};
}

std::optional<Refusal> checkReplicas(uint32_t replicas) {
  if (replicas <= REPLICAS_MAX) return std::nullopt;
  return Refusal{RefusalCode::TOO_LARGE, "replicas: " + std::to_string(replicas) + ", at most " +
                                             std::to_string(REPLICAS_MAX)};
}

std::optional<Refusal> checkSpec(const State& state, const DeploymentSpec& spec) {
  if (auto named = checkName(spec.tenant.value, NameKind::TENANT); !named) return named.refusal();
  if (auto named = checkName(spec.name.value, NameKind::DEPLOYMENT); !named) {
    return named.refusal();
  }
  if (auto refusal = checkReplicas(spec.replicas)) return refusal;
  if (spec.engine.kind == EngineKind::NATIVE && !state.models.contains(spec.model.source)) {
    return Refusal{RefusalCode::MODEL_NOT_FOUND,
                   "no worker has inspected " + spec.model.source + " yet"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> checkDeploymentCommand(const State& state, const DeploymentApplied& body) {
  if (auto refusal = checkSpec(state, body.spec)) return refusal;
  const DeploymentState* deployment = state.findDeployment(body.spec.tenant, body.spec.name);
  if (deployment) {
    if (auto refusal = checkNotDeleting(state, *deployment)) return refusal;
    return checkRevision(*deployment, body.expectedRevision);
  }
  if (body.expectedRevision.value != 0) {
    return Refusal{RefusalCode::REVISION_CONFLICT, nameOf(body.spec.tenant, body.spec.name) +
                                                       " does not exist, expected revision " +
                                                       std::to_string(body.expectedRevision.value)};
  }
  if (body.uid == state.nextUid) return std::nullopt;
  return Refusal{RefusalCode::INTERNAL, "uid " + std::to_string(body.uid.value) +
                                            " for a new deployment, the next one is " +
                                            std::to_string(state.nextUid.value)};
}

std::optional<Refusal> checkDeploymentCommand(const State& state, const DeploymentScaled& body) {
  const DeploymentState* deployment = state.findDeployment(body.tenant, body.name);
  if (!deployment) return notFound(state, body.tenant, body.name);
  if (auto refusal = checkNotDeleting(state, *deployment)) return refusal;
  if (auto refusal = checkReplicas(body.replicas)) return refusal;
  return checkRevision(*deployment, body.expectedRevision);
}

std::optional<Refusal> checkDeploymentCommand(const State& state, const DeploymentDeleted& body) {
  const DeploymentState* deployment = state.findDeployment(body.tenant, body.name);
  if (!deployment) return notFound(state, body.tenant, body.name);
  return checkRevision(*deployment, body.expectedRevision);
}

}  // namespace muster::coordinator
