#include "sharding/explain.h"

#include "sharding/stage_cut.h"
#include "sharding/stage_kinds.h"
#include "sharding/text.h"

#include <algorithm>
#include <map>
#include <set>

namespace muster::sharding {
namespace {

constexpr size_t ALTERNATIVES_MAX = 5;

std::string deviceText(const Seat& seat) {
  return seat.node->name.value + ":" + std::to_string(seat.device->index.value);
}

// The rank that leaves the least of its device free: what would break first.
std::string bindingReason(const Cut& cut, const FoundPlace& found) {
  size_t tightest = 0;
  auto leftOf = [&](size_t rank) { return found.seats[rank].free - cut.plan.rankMemory[rank]; };
  for (size_t rank = 1; rank < found.seats.size(); ++rank) {
    if (leftOf(rank) < leftOf(tightest)) tightest = rank;
  }
  const Seat& seat = found.seats[tightest];
  std::string text = "memory binds on rank " + std::to_string(tightest) + ", " + deviceText(seat) +
                     ": " + toShortText(cut.plan.rankMemory[tightest]) + " of " +
                     toShortText(seat.free) + " free";
  const RankMemory& memory = cut.memory[tightest];
  return text + " (weights " + toShortText(memory.weights) + ", KV cache " +
         toShortText(memory.kvCache) + ", activations " + toShortText(memory.activations) +
         ", overhead " + toShortText(memory.overhead) + ")";
}

std::string cutReason(const DeploymentSpec& deployment, const Cut& cut) {
  std::string text = cutText(cut.plan) + " on " + counted(cut.plan.worldSize(), "device") + ": ";
  const ParallelRequest asked = parallelOf(deployment);
  if (asked.tensor && asked.pipeline) return text + "as asked";
  if (cut.memory.empty()) return text + "as asked; the model is its engine's to understand";
  if (!deployment.stages.empty()) {
    return text + (deployment.gpus ? "as asked" : "the fewest devices that hold these stages");
  }
  if (deployment.gpus) return text + "the devices asked for with the fewest stages that fit";
  return text + "the fewest devices that hold it, then the fewest stages";
}

std::string stagesReason(const Cut& cut, const ModelSpec& spec) {
  return "stages hold layers " + layersText(cut.plan.stageFirstLayer, spec.layers) +
         ": the deployment gives the cut";
}

std::string nodesReason(const FoundPlace& found, const std::vector<NodeName>& siblings) {
  std::set<std::string> nodes;
  std::set<std::string> shared;
  std::set<std::string> withSibling;
  for (const auto& seat : found.seats) {
    nodes.insert(seat.node->name.value);
    if (!seat.empty) shared.insert(deviceText(seat));
    if (std::find(siblings.begin(), siblings.end(), seat.node->name) != siblings.end()) {
      withSibling.insert(seat.node->name.value);
    }
  }
  std::string text = "on " + listText({nodes.begin(), nodes.end()});
  if (!shared.empty()) {
    text += "; shares " + listText({shared.begin(), shared.end()}) + " with other deployments";
  }
  if (!withSibling.empty()) {
    text += "; " + listText({withSibling.begin(), withSibling.end()}) +
            " has another replica too: no other place was free";
  } else if (!siblings.empty()) {
    text += "; away from the other replicas";
  }
  return text;
}

std::string whyNotTaken(const ReplicaPlanner& planner, const ClusterView& cluster, const Cut& cut,
                        const Cut* chosen, Bytes largestDevice) {
  if (largestDevice == Bytes{}) return "there is no device of this kind";
  if (cut.largest() > largestDevice) {
    return "needs " + toShortText(cut.largest()) + " on a device, the largest has " +
           toShortText(largestDevice);
  }
  auto place = planner.find(cluster, {cut}, Occupancy::NOW);
  if (place && chosen != nullptr) {
    if (cut.plan.worldSize() > chosen->plan.worldSize()) return "takes more devices";
    if (cut.plan.pipeline > chosen->plan.pipeline) return "same devices, but more stages";
    return "its tensor groups would lie " + toText(place->scope);
  }
  if (planner.find(cluster, {cut}, Occupancy::EMPTY)) return "not enough is free now";
  auto wish = planner.wishFor(cut);
  return "there are not " + wantsText(wish, allowedScopes(wish).back());
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

// Nodes with one verdict and one detail share a row.
std::string verdictTable(const std::vector<NodeVerdict>& nodes) {
  std::vector<std::pair<std::string, const NodeVerdict*>> rows;
  for (const auto& node : nodes) {
    auto same = std::find_if(rows.begin(), rows.end(), [&](const auto& row) {
      return row.second->verdict == node.verdict && row.second->detail == node.detail;
    });
    if (same == rows.end()) {
      rows.emplace_back(node.node.value, &node);
    } else {
      same->first += " " + node.node.value;
    }
  }
  size_t nameWidth = 4;
  size_t verdictWidth = 7;
  for (const auto& [names, verdict] : rows) {
    nameWidth = std::max(nameWidth, names.size());
    verdictWidth = std::max(verdictWidth, verdict->verdict.size());
  }
  std::string text = "  " + padded("NODE", nameWidth) + "  VERDICT\n";
  for (const auto& [names, verdict] : rows) {
    text += "  " + padded(names, nameWidth) + "  " + padded(verdict->verdict, verdictWidth) + "  " +
            verdict->detail + "\n";
  }
  return text;
}

std::string alternativesText(const std::vector<Alternative>& rejected) {
  std::string text;
  for (const auto& other : rejected) {
    text += "  not tp " + std::to_string(other.tensor) + " pp " + std::to_string(other.pipeline) +
            ": " + other.why + "\n";
  }
  return text;
}

}  // namespace

std::string wantsText(const GangWish& wish, TensorScope scope) {
  if (!wish.stageGpu.empty()) {
    std::vector<std::string> kinds;
    for (const auto& part : partsOf(wish)) kinds.push_back(wantsText(part.wish, scope));
    return listText(kinds);
  }
  bool whole = wish.sharing == Sharing::WHOLE;
  std::string kind = wish.gpu.types.empty() ? "" : listText(wish.gpu.types) + " ";
  std::string devices = counted(wish.tensor, (whole ? "empty " : "free ") + kind + "device");
  std::string text = wish.stageMemory.size() == 1
                         ? devices
                         : counted(wish.stageMemory.size(), "stage") + " of " + devices;
  Bytes memory = std::max(wish.memoryMax(), wish.gpu.memoryMin);
  if (memory > Bytes{}) text += " with " + toShortText(memory) + " each";
  if (wish.tensor > 1) text += ", " + toText(scope);
  return text;
}

std::vector<std::string> reasonsFor(const ReplicaPlanner& planner, const std::vector<Cut>& cuts,
                                    const FoundPlace& found) {
  const Cut& cut = cuts[found.cut];
  std::vector<std::string> reasons;
  if (!cut.memory.empty()) reasons.push_back(bindingReason(cut, found));
  reasons.push_back(cutReason(planner.deployment(), cut));
  if (!planner.deployment().stages.empty() && planner.spec()) {
    reasons.push_back(stagesReason(cut, *planner.spec()));
  }
  if (cut.plan.tensor > 1) {
    reasons.push_back("tensor groups lie " + toText(found.scope) +
                      (found.scope == TensorScope::ISLAND ? "" : ": no island is large enough"));
  }
  reasons.push_back(nodesReason(found, planner.siblings()));
  return reasons;
}

std::vector<Alternative> alternativesTo(const ReplicaPlanner& planner, const ClusterView& cluster,
                                        const std::vector<Cut>& cuts, size_t chosen) {
  Bytes largestDevice;
  for (const auto* device : matchingDevices(cluster, planner.wishFor(cuts.front()))) {
    largestDevice = std::max(largestDevice, device->memory);
  }
  const Cut* taken = chosen < cuts.size() ? &cuts[chosen] : nullptr;
  std::vector<Alternative> others;
  for (size_t i = 0; i < cuts.size() && others.size() < ALTERNATIVES_MAX; ++i) {
    if (i == chosen) continue;
    others.push_back({cuts[i].plan.tensor, cuts[i].plan.pipeline, cuts[i].largest(),
                      whyNotTaken(planner, cluster, cuts[i], taken, largestDevice)});
  }
  return others;
}

std::string nodesText(const std::vector<NodeVerdict>& nodes) {
  std::vector<std::string> parts;
  parts.reserve(nodes.size());
  for (const auto& node : nodes) {
    parts.push_back(node.node.value + " " + node.verdict + " (" + node.detail + ")");
  }
  return listText(parts);
}

std::string explain(const PlannedReplica& planned) {
  std::string text;
  for (const auto& rank : planned.placement.ranks) {
    for (const auto& device : rank.devices) {
      text += "  rank " + std::to_string(rank.rank.value) + "  " + rank.node.value + ":" +
              std::to_string(device.value) + "  " + toShortText(rank.memory) + "\n";
    }
  }
  for (const auto& reason : planned.reasons) text += "  " + reason + "\n";
  return text + alternativesText(planned.rejected);
}

std::string explain(const RefusedReplica& refused) {
  std::string text = toText(refused.refusal.code) + ": " + refused.refusal.text + "\n";
  if (!refused.wants.empty()) text += "  wants  " + refused.wants + "\n";
  if (!refused.nodes.empty()) text += verdictTable(refused.nodes);
  text += alternativesText(refused.rejected);
  for (const auto& fix : refused.refusal.fixes) text += "  fix    " + fix + "\n";
  return text;
}

}  // namespace muster::sharding
