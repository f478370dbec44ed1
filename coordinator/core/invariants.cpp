#include "coordinator/core/invariants.h"

#include "coordinator/core/change.h"
#include "coordinator/core/record.h"
#include "coordinator/core/record_key.h"
#include "protocol/engine_preset.h"
#include "sharding/processes.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

using Violations = std::vector<std::string>;

std::string textOf(const GenerationRef& ref) {
  return "deployment " + std::to_string(ref.deployment.value) + " replica " +
         std::to_string(ref.replica.value) + " generation " + std::to_string(ref.generation.value);
}

// A node may come back with fewer or smaller devices than were promised; what is promised after
// that must fit.
void checkDevice(const NodeState& node, DeviceIndex index, const DeviceReservations& ranks,
                 Violations& out) {
  Bytes sum;
  bool promisedSince = false;
  for (const auto& [rank, promised] : ranks) {
    sum += promised.memory;
    promisedSince |= promised.placedIndex > node.describedAt;
  }
  if (!promisedSince) return;
  auto device = std::ranges::find(node.info.devices, index, &DeviceInfo::index);
  Bytes memory = device == node.info.devices.end() ? Bytes{} : device->memory;
  if (sum <= memory) return;
  out.push_back("device " + node.info.name.value + ":" + std::to_string(index.value) + " of " +
                toText(memory) + " is promised " + toText(sum));
}

void checkDevices(const State& state, Violations& out) {
  for (const auto& [name, devices] : state.reservations) {
    const NodeState* node = state.findNode(name);
    if (!node) {
      out.push_back("devices of the unknown node " + name.value + " are promised");
      continue;
    }
    for (const auto& [index, ranks] : devices) checkDevice(*node, index, ranks, out);
  }
}

void checkGang(const GenerationRef& ref, const PlacedGeneration& generation, Violations& out) {
  size_t world = size_t{generation.plan.tensor} * generation.plan.pipeline;
  const auto& ranks = generation.placement.ranks;
  uint64_t placed =
      sharding::shardsOf(generation.placement, processShare(generation.spec.engine.kind));
  if (placed != world || generation.ranks.size() != ranks.size() || world == 0) {
    out.push_back(textOf(ref) + " has " + std::to_string(placed) + " shards placed of " +
                  std::to_string(world) + ", and knows " + std::to_string(generation.ranks.size()) +
                  " of " + std::to_string(ranks.size()) + " ranks");
  }
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].rank.value != i || ranks[i].devices.empty()) {
      out.push_back(textOf(ref) + " has no whole rank " + std::to_string(i));
    }
  }
}

void checkReplica(const State& state, const DeploymentState& deployment, ReplicaNumber number,
                  const ReplicaState& replica, Violations& out) {
  bool wanted = !deployment.deleting && number.value < deployment.spec.replicas;
  if (!replica.current) {
    if (!wanted) out.push_back(replicaName(deployment, number) + " is neither wanted nor placed");
    if (replica.phase == ReplicaPhase::READY) {
      out.push_back(replicaName(deployment, number) + " is Ready without a place");
    }
    return;
  }
  GenerationRef ref{deployment.uid, number, replica.current->generation};
  checkGang(ref, *replica.current, out);
  if (ref.generation >= deployment.nextGeneration) {
    out.push_back(textOf(ref) + " is not below the next one");
  }
  // One current generation: everything else of this replica is older and retired.
  auto after = state.retired.lower_bound(ref);
  if (after != state.retired.end() && after->first.deployment == ref.deployment &&
      after->first.replica == ref.replica) {
    out.push_back(textOf(ref) + " is current, and generation " +
                  std::to_string(after->first.generation.value) + " has ended already");
  }
}

void checkDeployments(const State& state, Violations& out) {
  for (const auto& [uid, deployment] : state.deployments) {
    if (uid >= state.nextUid || uid != deployment.uid) {
      out.push_back("deployment uid " + std::to_string(uid.value) + " is out of order");
    }
    const DeploymentState* byName =
        state.findDeployment(deployment.spec.tenant, deployment.spec.name);
    if (byName != &deployment) {
      out.push_back("deployment " + std::to_string(uid.value) + " is not found by its name");
    }
    for (uint32_t i = 0; i < deployment.spec.replicas && !deployment.deleting; ++i) {
      if (!deployment.replicas.contains({i})) {
        out.push_back(replicaName(deployment, {i}) + " is missing");
      }
    }
    for (const auto& [number, replica] : deployment.replicas) {
      checkReplica(state, deployment, number, replica, out);
    }
  }
}

// What is derived must be what would be derived now.
void checkDerived(const State& state, Violations& out) {
  State again = state;
  rebuildIndexes(again);
  if (again.reservations != state.reservations) {
    out.push_back("reservations differ from what is placed and retired");
  }
  if (again.deploymentByName != state.deploymentByName) {
    out.push_back("names of deployments differ from the deployments");
  }
  Guid sum;
  size_t records = 0;
  for (const auto& record : allRecords(state)) {
    sum = addHash(sum, recordHash(record.key, record.value));
    ++records;
  }
  if (sum != state.hash() || records != state.recordHashes.size()) {
    out.push_back("the state's hash is not the sum over its " + std::to_string(records) +
                  " records");
  }
}

void checkRetired(const State& state, Violations& out) {
  for (const auto& [ref, retired] : state.retired) {
    if (retired.ranks.empty()) out.push_back(textOf(ref) + " is retired and holds nothing");
    if (state.findCurrent(ref)) out.push_back(textOf(ref) + " is current and retired");
  }
}

void checkNodes(const State& state, Violations& out) {
  for (const auto& [name, node] : state.nodes) {
    if (node.drain != DrainStage::NONE && !node.cordon) {
      out.push_back("node " + name.value + " drains without a cordon");
    }
    if (node.info.name != name) out.push_back("node " + name.value + " describes another");
  }
}

}  // namespace

std::vector<std::string> violations(const State& state) {
  Violations out = brokenRules(state);
  checkDerived(state, out);
  return out;
}

std::vector<std::string> brokenRules(const State& state) {
  Violations out;
  checkNodes(state, out);
  checkDevices(state, out);
  checkDeployments(state, out);
  checkRetired(state, out);
  return out;
}

}  // namespace muster::coordinator
