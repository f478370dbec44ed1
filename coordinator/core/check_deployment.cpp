#include "coordinator/core/check.h"
#include "coordinator/core/hints.h"
#include "coordinator/core/limits.h"
#include "protocol/engine_preset.h"
#include "protocol/names.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

// From here on a deployment may ask for parts of experts, rounded weights, other names and a way to
// balance.
constexpr uint32_t SCHEMA_LEVEL_WIDER_SPECS = 2;

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

// A coordinator of an older level would lose these words, place other ranks than we do, and restart
// ranks where we change in place.
std::optional<Refusal> checkLevel(const State& state, uint32_t level, const std::string& what) {
  if (state.schemaLevel >= level) return std::nullopt;
  return Refusal{RefusalCode::NOT_SUPPORTED_YET,
                 what + " schema level " + std::to_string(level) + ", the cluster has " +
                     std::to_string(state.schemaLevel) +
                     " until all its coordinators understand more",
                 {},
                 {"muster admin status"}};
}

std::optional<Refusal> checkNewWords(const State& state, const DeploymentSpec& spec) {
  bool isNew = spec.parallel.expert || spec.balance || !spec.model.dtype.empty() ||
               !spec.model.aliases.empty();
  if (isNew) {
    auto refusal = checkLevel(state, SCHEMA_LEVEL_WIDER_SPECS,
                              "model.dtype, model.aliases, parallel.ep and balance need");
    if (refusal) return refusal;
  }
  if (!spec.stages.empty()) {
    if (auto refusal = checkLevel(state, SCHEMA_LEVEL_STAGES, "stages needs")) return refusal;
  }
  if (findPreset(spec.engine.kind) == nullptr) return std::nullopt;
  return checkLevel(state, SCHEMA_LEVEL_PRESETS,
                    "engine " + std::string(toText(spec.engine.kind)) + " needs");
}

// Whether clients call the deployment so. The default tenant's are called without it.
bool isCalled(const DeploymentSpec& spec, const std::string& name) {
  bool isOwn = name == nameOf(spec.tenant, spec.name) ||
               (spec.tenant == DeploymentSpec{}.tenant && name == spec.name.value);
  return isOwn || std::ranges::find(spec.model.aliases, name) != spec.model.aliases.end();
}

// A tenant's names are its own: with one of them another tenant would be sent its requests, and
// what they say.
std::optional<Refusal> checkAliases(const State& state, const DeploymentSpec& spec) {
  for (const std::string& alias : spec.model.aliases) {
    for (const auto& [uid, other] : state.deployments) {
      if (other.spec.tenant == spec.tenant || !isCalled(other.spec, alias)) continue;
      return Refusal{RefusalCode::INVALID_NAME,
                     "alias \"" + alias + "\" is a name of another tenant's deployment",
                     {},
                     {"choose another alias"}};
    }
  }
  return std::nullopt;
}

std::optional<Refusal> checkSpec(const State& state, const DeploymentSpec& spec) {
  if (auto named = checkName(spec.tenant.value, NameKind::TENANT); !named) return named.refusal();
  if (auto named = checkName(spec.name.value, NameKind::DEPLOYMENT); !named) {
    return named.refusal();
  }
  if (auto refusal = checkReplicas(spec.replicas)) return refusal;
  if (auto refusal = checkNewWords(state, spec)) return refusal;
  if (auto refusal = checkAliases(state, spec)) return refusal;
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
