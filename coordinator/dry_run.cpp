#include "coordinator/dry_run.h"

#include "coordinator/core/cluster_view.h"
#include "sharding/placer.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr uint32_t ROUNDS_MAX = 256;

class Rehearsal {
 public:
  Rehearsal(DryRun& run, const DryRunInput& input) : run_(run), input_(input) {}

  bool take(const CommandBody& body) {
    auto decision = decide(run_.after, {input_.principal, {}, body}, input_.now, input_.wall);
    if (!decision || !decision->command) return false;
    return !apply(run_.after, run_.after.applied.next(), *decision->command).rejected;
  }

  // One look of the leader. False when it changes nothing for replicas any more.
  bool look(const Observed& observed, Random& random) {
    bool changed = false;
    Effects effects = reconcile(run_.after, observed, input_.now, random);
    for (const CommandBody& body : effects.proposals) {
      // Only what the planner does. Nodes and ranks are taken to be as they are.
      const auto* placed = std::get_if<ReplicaPlaced>(&body);
      bool plans = placed != nullptr || std::holds_alternative<ReplicaWaiting>(body) ||
                   std::holds_alternative<ReplicaRetired>(body);
      if (!plans || !take(body)) continue;
      changed = true;
      if (placed != nullptr && concerns(placed->deployment)) run_.placed.push_back(*placed);
    }
    return changed;
  }

  // Ranks that shall end have ended, and those that shall run are Ready.
  bool elapse() {
    bool changed = false;
    for (const RanksReleased& released : stopped()) changed |= take(released);
    for (const RankProgressed& ready : started()) changed |= take(ready);
    return changed;
  }

 private:
  bool concerns(DeploymentUid uid) const {
    return std::ranges::count(run_.changes, uid, &DryChange::uid) > 0;
  }

  std::vector<RanksReleased> stopped() const {
    std::vector<RanksReleased> all;
    for (const auto& [ref, retired] : run_.after.retired) {
      if (!concerns(ref.deployment)) continue;
      for (const auto& [rank, placed] : retired.ranks) {
        all.push_back({placed.node, {{ref.deployment, ref.replica, ref.generation, rank}}});
      }
    }
    return all;
  }

  std::vector<RankProgressed> started() const {
    std::vector<RankProgressed> all;
    for (const DryChange& change : run_.changes) {
      const DeploymentState* deployment = run_.after.findDeployment(change.uid);
      if (deployment == nullptr) continue;
      for (const auto& [number, replica] : deployment->replicas) {
        if (!replica.current || replica.current->revision < deployment->templateRevision) continue;
        addStarted(all, {change.uid, number, replica.current->generation}, *replica.current);
      }
    }
    return all;
  }

  static void addStarted(std::vector<RankProgressed>& all, const GenerationRef& ref,
                         const PlacedGeneration& generation) {
    for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
      if (generation.ranks[i].phase >= ReplicaPhase::READY) continue;
      RankProgressed ready;
      ready.rank = {ref.deployment, ref.replica, ref.generation, {i}};
      ready.phase = ReplicaPhase::READY;
      all.push_back(std::move(ready));
    }
  }

  DryRun& run_;
  const DryRunInput& input_;
};

// The planner's own words for a replica of this deployment, asked as if none of it ran.
std::vector<std::string> reasonsFor(const State& state, const DeploymentState& deployment) {
  sharding::ClusterView view = clusterView(state);
  for (auto& node : view.nodes) {
    for (auto& device : node.devices) {
      std::erase_if(device.uses, [&](const sharding::DeviceUse& use) {
        return use.tenant == deployment.spec.tenant && use.deployment == deployment.spec.name;
      });
    }
  }
  auto outcome =
      sharding::planReplica(deployment.spec, manifestOf(state, deployment.spec), view, {});
  auto* planned = std::get_if<sharding::PlannedReplica>(&outcome);
  return planned != nullptr ? planned->reasons : std::vector<std::string>{};
}

Result<DryChange> tryOne(State& state, const DeploymentSpec& document, const DryRunInput& input) {
  DryChange change;
  if (const auto* known = state.findDeployment(document.tenant, document.name)) {
    change.before = known->spec;
    change.revisionBefore = known->revision;
  }
  Request request{input.principal, {}, DeploymentApplied{document, {}, input.expectedRevision}};
  auto decision = decide(state, request, input.now, input.wall);
  if (!decision) return decision.refusal();
  Applied applied = apply(state, state.applied.next(), *decision->command);
  if (applied.rejected) return *applied.rejected;
  const auto* after = state.findDeployment(document.tenant, document.name);
  change.uid = after->uid;
  change.revisionAfter = after->revision;
  return change;
}

std::set<NodeName> notAttached(const State& state, const Observed& observed, Instant now) {
  std::set<NodeName> names;
  for (const auto& [name, node] : state.nodes) {
    auto seen = observed.nodes.find(name);
    bool attached =
        seen != observed.nodes.end() && seen->second.attached && now < seen->second.leaseEnd;
    if (node.takesWork() && !attached) names.insert(name);
  }
  return names;
}

std::string textOf(const sharding::NodeView& node) {
  std::string text = node.name.value + "\n" + node.rack + "\n" + node.closed + "\n";
  for (const auto& [key, value] : node.labels) text += key + "=" + value + "\n";
  for (const auto& device : node.devices) {
    text += std::to_string(device.index.value) + " " + device.type + " " +
            std::to_string(device.island) + " " + std::to_string(device.memory.count) + " " +
            device.unhealthy;
    for (const auto& use : device.uses) {
      text += " " + use.tenant.value + "/" + use.deployment.value + "/" +
              std::to_string(use.replica.value) + "/" + std::to_string(use.rank.value) + ":" +
              std::to_string(use.memory.count);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

Result<DryRun> tryChanges(const State& state, const std::vector<DeploymentSpec>& documents,
                          const DryRunInput& input) {
  DryRun run{state, {}, {}};
  for (const DeploymentSpec& document : documents) {
    auto change = tryOne(run.after, document, input);
    if (!change) return change.refusal();
    run.changes.push_back(std::move(*change));
  }
  return run;
}

Result<DryRun> dryRun(const State& state, const Observed& observed,
                      const std::vector<DeploymentSpec>& documents, const DryRunInput& input,
                      Random& random) {
  auto run = tryChanges(state, documents, input);
  if (!run) return run;
  Rehearsal rehearsal(*run, input);
  for (uint32_t round = 0; round < ROUNDS_MAX; ++round) {
    bool planned = rehearsal.look(observed, random);
    bool elapsed = rehearsal.elapse();
    if (!planned && !elapsed) break;
  }
  for (DryChange& change : run->changes) {
    change.reasons = reasonsFor(run->after, *run->after.findDeployment(change.uid));
  }
  return run;
}

Guid placementInputs(const State& state, const Observed& observed, Instant now) {
  sharding::ClusterView view = clusterView(state, notAttached(state, observed, now));
  Guid sum;
  // Each hash holds the node's name, so their order does not matter.
  for (const auto& node : view.nodes) {
    Guid one = recordHash(node.name.value, textOf(node));
    sum.high ^= one.high;
    sum.low ^= one.low;
  }
  return sum;
}

}  // namespace muster::coordinator
