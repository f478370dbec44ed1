#include "coordinator/core/apply_topics.h"
#include "coordinator/core/phase_rules.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

void answerDeployment(Change& change, const DeploymentState& deployment, std::string_view what) {
  change.setAnswer("{\"deployment\":\"" +
                   qualifiedName(deployment.spec.tenant, deployment.spec.name) +
                   "\",\"uid\":" + std::to_string(deployment.uid.value) +
                   ",\"revision\":" + std::to_string(deployment.revision.value) + ",\"change\":\"" +
                   std::string(what) + "\"}");
}

// Makes the replicas that are missing and forgets those above the number that hold nothing; what
// still has a generation is retired first, by commands of its own.
void fitReplicas(Change& change, DeploymentState& deployment) {
  uint32_t wanted = deployment.deleting ? 0 : deployment.spec.replicas;
  for (uint32_t i = 0; i < wanted; ++i) {
    auto [entry, added] = deployment.replicas.try_emplace({i});
    if (!added) continue;
    entry->second.since = change.now;
    entry->second.sinceWall = change.wall;
    change.touch(ReplicaKey{deployment.uid, {i}});
  }
  auto surplus = deployment.replicas.lower_bound({wanted});
  while (surplus != deployment.replicas.end()) {
    ReplicaNumber number = surplus->first;
    bool holdsNothing = !surplus->second.current;
    if (holdsNothing) {
      surplus = deployment.replicas.erase(surplus);
      change.touch(ReplicaKey{deployment.uid, number});
    } else {
      ++surplus;
      setReplicaPhase(change, deployment, number, {ReplicaPhase::DRAINING, Reason::NONE, ""});
    }
  }
}

// What is wanted is another thing now: what waits asks again, at once.
void forgetAnswers(Change& change, DeploymentState& deployment) {
  for (auto& [number, replica] : deployment.replicas) {
    replica.answeredIndex = {};
    replica.failedAttempts = 0;
    replica.retryAt = {};
    change.touch(ReplicaKey{deployment.uid, number});
  }
}

DeploymentState& createDeployment(Change& change, const DeploymentApplied& body) {
  State& state = change.state;
  state.nextUid = body.uid.next();
  DeploymentState& deployment = state.deployments[body.uid];
  deployment.uid = body.uid;
  deployment.created = change.now;
  deployment.createdWall = change.wall;
  deployment.createdBy = change.command.principal;
  deployment.since = change.now;
  deployment.sinceWall = change.wall;
  state.deploymentByName[{body.spec.tenant, body.spec.name}] = body.uid;
  return deployment;
}

void takeSpec(Change& change, DeploymentState& deployment, const DeploymentSpec& spec) {
  bool inPlace = deployment.revision.value > 0 && haveSameRanks(deployment.spec, spec);
  deployment.spec = spec;
  deployment.revision = deployment.revision.next();
  if (!inPlace) {
    deployment.templateRevision = deployment.revision;
    forgetAnswers(change, deployment);
  }
  change.touch(deployment.uid);
  change.addEvent(Severity::INFO, "Rollout", spec.name.value, spec.tenant.value,
                  "revision " + std::to_string(deployment.revision.value) + " by " +
                      change.command.principal + ", " + std::to_string(spec.replicas) +
                      (spec.replicas == 1 ? " replica" : " replicas") +
                      (inPlace ? "; changed in place" : ""));
  fitReplicas(change, deployment);
  refreshDeployment(change, deployment);
}

}  // namespace

void applyBody(Change& change, const DeploymentApplied& body) {
  auto known = change.state.deploymentByName.find({body.spec.tenant, body.spec.name});
  if (known == change.state.deploymentByName.end()) {
    DeploymentState& deployment = createDeployment(change, body);
    takeSpec(change, deployment, body.spec);
    return answerDeployment(change, deployment, "created");
  }
  DeploymentState& deployment = change.state.deployments.at(known->second);
  if (deployment.spec == body.spec) return answerDeployment(change, deployment, "unchanged");
  takeSpec(change, deployment, body.spec);
  answerDeployment(change, deployment, "updated");
}

void applyBody(Change& change, const DeploymentScaled& body) {
  auto uid = change.state.deploymentByName.at({body.tenant, body.name});
  DeploymentState& deployment = change.state.deployments.at(uid);
  if (deployment.spec.replicas == body.replicas) {
    return answerDeployment(change, deployment, "unchanged");
  }
  DeploymentSpec spec = deployment.spec;
  spec.replicas = body.replicas;
  takeSpec(change, deployment, spec);
  answerDeployment(change, deployment, "scaled");
}

void applyBody(Change& change, const DeploymentDeleted& body) {
  auto uid = change.state.deploymentByName.at({body.tenant, body.name});
  DeploymentState& deployment = change.state.deployments.at(uid);
  answerDeployment(change, deployment, "deleting");
  if (deployment.deleting) return;
  deployment.deleting = true;
  change.touch(uid);
  change.addEvent(Severity::INFO, "Deleting", body.name.value, body.tenant.value,
                  "by " + change.command.principal);
  fitReplicas(change, deployment);
  refreshDeployment(change, deployment);
  finishDeletion(change, uid);
}

void finishDeletion(Change& change, DeploymentUid uid) {
  State& state = change.state;
  auto deployment = state.deployments.find(uid);
  if (deployment == state.deployments.end() || !deployment->second.deleting) return;
  if (!deployment->second.replicas.empty()) return;
  auto isHere = [&](const auto& rank) {
    const NodeState* node = state.findNode(rank.second.node);
    return node && node->reachability != NodePhase::LOST;
  };
  for (auto retired = state.retired.lower_bound({uid, {}, {}});
       retired != state.retired.end() && retired->first.deployment == uid; ++retired) {
    if (std::ranges::any_of(retired->second.ranks, isHere)) return;
  }
  const DeploymentSpec& spec = deployment->second.spec;
  change.addEvent(Severity::INFO, "Deleted", spec.name.value, spec.tenant.value,
                  "nothing of it runs any more");
  change.touch(uid);
  state.deploymentByName.erase({spec.tenant, spec.name});
  state.deployments.erase(deployment);
}

}  // namespace muster::coordinator
