#include "sharding/advice.h"

#include "protocol/engine_preset.h"
#include "sharding/stage_kinds.h"
#include "sharding/text.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace muster::sharding {
namespace {

constexpr size_t CHANGES_TRIED_MAX = 32;  // of each kind; each costs a search
constexpr uint64_t CONTEXT_STEP = 256;    // tokens; advice names round numbers
constexpr uint32_t WORLD_ADVISED_MAX = 4096;

using Fixes = std::vector<std::string>;

std::string nodeNames(const ClusterView& cluster) {
  std::vector<std::string> names;
  for (const auto& node : cluster.nodes) names.push_back(node.name.value);
  return listText(names);
}

// --- What would free enough now.

struct Holder {
  uint64_t devices = 0;
  std::set<std::string> nodes;
};

std::map<std::string, Holder> holdersOf(const ClusterView& cluster, const std::string& self) {
  std::map<std::string, Holder> owners;
  for (const auto& node : cluster.nodes) {
    for (const auto& device : node.devices) {
      std::set<std::string> here;
      for (const auto& use : device.uses) {
        here.insert(use.tenant.value + "/" + use.deployment.value);
      }
      here.erase(self);
      for (const auto& name : here) {
        ++owners[name].devices;
        owners[name].nodes.insert(node.name.value);
      }
    }
  }
  return owners;
}

ClusterView without(ClusterView cluster, const std::string& owner) {
  for (auto& node : cluster.nodes) {
    for (auto& device : node.devices) {
      std::erase_if(device.uses, [&](const DeviceUse& use) {
        return use.tenant.value + "/" + use.deployment.value == owner;
      });
    }
  }
  return cluster;
}

Fixes openNodes(const ReplicaPlanner& planner, const ClusterView& cluster,
                const std::vector<Cut>& cuts) {
  Fixes fixes;
  size_t tried = 0;
  for (size_t i = 0; i < cluster.nodes.size() && tried < CHANGES_TRIED_MAX; ++i) {
    const auto& node = cluster.nodes[i];
    bool canOpen = node.closed == "cordoned" || node.closed == "drained";
    if (!canOpen) continue;
    ++tried;
    ClusterView opened = cluster;
    opened.nodes[i].closed.clear();
    opened.nodes[i].closedDetail.clear();
    if (planner.find(opened, cuts, Occupancy::NOW)) {
      fixes.push_back("muster uncordon " + node.name.value);
    }
  }
  return fixes;
}

// --- What would have to change for ever.

using Change = void (*)(DeploymentSpec&);
struct RuleToDrop {
  const char* name;
  bool (*isSet)(const DeploymentSpec&);
  Change drop;
};
const RuleToDrop RULES_TO_DROP[] = {
    {"placement.tp_within", [](const DeploymentSpec& d) { return d.placement.tpWithinNode; },
     [](DeploymentSpec& d) { d.placement.tpWithinNode = false; }},
    {"placement.fabric",
     [](const DeploymentSpec& d) { return d.placement.fabric == Fabric::REQUIRED; },
     [](DeploymentSpec& d) { d.placement.fabric.reset(); }},
    {"placement.spread", [](const DeploymentSpec& d) { return d.placement.spread.has_value(); },
     [](DeploymentSpec& d) { d.placement.spread.reset(); }},
    {"gpu.link", [](const DeploymentSpec& d) { return !d.gpu.link.empty(); },
     [](DeploymentSpec& d) { d.gpu.link.clear(); }},
    {"placement.pool", [](const DeploymentSpec& d) { return !d.placement.pool.empty(); },
     [](DeploymentSpec& d) { d.placement.pool.clear(); }},
    {"placement.nodes", [](const DeploymentSpec& d) { return !d.placement.nodes.empty(); },
     [](DeploymentSpec& d) { d.placement.nodes.clear(); }},
    {"placement.exclude", [](const DeploymentSpec& d) { return !d.placement.exclude.empty(); },
     [](DeploymentSpec& d) { d.placement.exclude.clear(); }},
};

// Rules of which each alone, once dropped, lets the replica fit.
Fixes dropOneRule(const ReplicaPlanner& planner, const ClusterView& cluster) {
  Fixes fixes;
  for (const auto& rule : RULES_TO_DROP) {
    DeploymentSpec changed = planner.deployment();
    if (!rule.isSet(changed)) continue;
    rule.drop(changed);
    if (planner.with(changed).canEverFit(cluster)) {
      fixes.push_back("leave out " + std::string(rule.name));
    }
  }
  return fixes;
}

bool fitsWithoutRules(const ReplicaPlanner& planner, const ClusterView& cluster) {
  DeploymentSpec changed = planner.deployment();
  for (const auto& rule : RULES_TO_DROP) rule.drop(changed);
  return planner.with(changed).canEverFit(cluster);
}

// Another number of devices or another cut, if the deployment fixed them.
Fixes otherCut(const ReplicaPlanner& planner, const ClusterView& cluster) {
  DeploymentSpec changed = planner.deployment();
  const ParallelRequest fixed = parallelOf(changed);
  if (!changed.gpus && !fixed.tensor && !fixed.pipeline) return {};
  std::string suffix = changed.stages.empty() ? "" : " and no stages";
  changed.gpus.reset();
  changed.parallel = {};
  changed.stages.clear();
  auto other = planner.with(changed);
  auto cuts = other.cuts(worldMaxOf(cluster));
  if (!cuts) return {};
  auto found = other.find(cluster, *cuts, Occupancy::EMPTY);
  if (!found) return {};
  const auto& plan = (*cuts)[found->cut].plan;
  return {"gpus: " + std::to_string(plan.worldSize()) + " with parallel: {tp: " +
          std::to_string(plan.tensor) + ", pp: " + std::to_string(plan.pipeline) + "}" + suffix};
}

// The longest context, in steps, with which the replica would fit.
Fixes shorterContext(const ReplicaPlanner& planner, const ClusterView& cluster) {
  if (!planner.spec()) return {};
  auto asked = planContext(*planner.spec(), planner.deployment().model.maxContext);
  if (!asked) return {};
  auto fits = [&](uint64_t steps) {
    DeploymentSpec changed = planner.deployment();
    changed.model.maxContext = steps * CONTEXT_STEP;
    return planner.with(changed).canEverFit(cluster);
  };
  uint64_t low = 0;                                 // fits, if above 0
  uint64_t high = (*asked - 1) / CONTEXT_STEP + 1;  // does not
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  if (low == 0) return {};
  return {"model.max_context: " + std::to_string(low * CONTEXT_STEP) + " instead of " +
          std::to_string(*asked)};
}

// The cluster with `count` more devices like `model`, on new nodes of `perNode` each. The new nodes
// carry the labels of a node that is asked for, so that pool and fabric do not stand in the way.
ClusterView withMore(ClusterView cluster, const DeviceView& model, uint64_t count, uint32_t perNode,
                     DeploymentSpec& deployment) {
  for (uint64_t added = 0; added < count;) {
    NodeView node;
    node.name = NodeName{"new-" + std::to_string(added)};
    node.labels["pool"] = deployment.placement.pool;
    node.labels["fabric"] = "new";
    if (!deployment.placement.nodes.empty()) deployment.placement.nodes.push_back(node.name);
    for (uint32_t i = 0; i < perNode && added < count; ++i, ++added) {
      node.devices.push_back({DeviceIndex{i}, model.type, 0, model.memory, {}, {}, model.overhead});
    }
    cluster.nodes.push_back(std::move(node));
  }
  return cluster;
}

// The fewest devices, of the largest kind that is there, that would have to be added.
Fixes moreDevices(const ReplicaPlanner& planner, const ClusterView& cluster,
                  const std::vector<const DeviceView*>& matching) {
  auto larger = [](const auto* a, const auto* b) { return a->memory < b->memory; };
  const auto& model = **std::max_element(matching.begin(), matching.end(), larger);
  auto cuts = planner.cuts(WORLD_ADVISED_MAX);
  if (!cuts) return {};
  auto fitting = std::find_if(cuts->begin(), cuts->end(),
                              [&](const Cut& cut) { return cut.largest() <= model.memory; });
  if (fitting == cuts->end()) return {};
  uint32_t world = fitting->plan.worldSize();
  uint64_t have = static_cast<uint64_t>(
      std::count_if(matching.begin(), matching.end(),
                    [&](const auto* device) { return device->memory >= fitting->largest(); }));
  uint64_t least = world > have ? world - have : 1;
  uint64_t whole = (least + fitting->plan.tensor - 1) / fitting->plan.tensor * fitting->plan.tensor;
  for (uint64_t count : {least, whole, uint64_t{world}}) {
    DeploymentSpec changed = planner.deployment();
    ClusterView grown = withMore(cluster, model, count, fitting->plan.tensor, changed);
    if (planner.with(changed).find(grown, {*fitting}, Occupancy::EMPTY)) {
      return {"add " + counted(count, "device") + " of " + toText(model.memory) + " (" +
              cutText(fitting->plan) + ")"};
    }
  }
  return {};
}

// How large devices would have to be if their number stayed.
Fixes largerDevices(const std::vector<Cut>& cuts, const std::vector<const DeviceView*>& matching) {
  const Cut* best = nullptr;
  for (const auto& cut : cuts) {
    if (cut.plan.worldSize() > matching.size()) continue;
    if (best == nullptr || cut.largest() < best->largest()) best = &cut;
  }
  if (best == nullptr) return {};
  uint64_t mebibytes = (best->largest().count + (1_MiB).count - 1) / (1_MiB).count;
  return {counted(best->plan.worldSize(), "device") + " of at least " +
          toText(Bytes{mebibytes << 20}) + " (" + cutText(best->plan) + ")"};
}

void append(Fixes& to, Fixes from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// "gpu01: cpu 4GiB", for each node.
std::string inventoryText(const ClusterView& cluster) {
  std::vector<std::string> nodes;
  for (const auto& node : cluster.nodes) {
    std::set<std::string> kinds;
    for (const auto& device : node.devices) {
      kinds.insert(device.type + " " + toText(device.memory));
    }
    nodes.push_back(node.name.value + ": " + listText({kinds.begin(), kinds.end()}));
  }
  return listText(nodes);
}

std::string gpuText(const GpuRequirement& gpu) {
  std::string text = gpu.types.empty() ? "device" : listText(gpu.types) + " device";
  if (gpu.memoryMin > Bytes{}) text += " with at least " + toText(gpu.memoryMin);
  if (!gpu.link.empty()) text += " with " + gpu.link;
  return text;
}

bool hasGpu(const ClusterView& cluster) {
  return std::any_of(cluster.nodes.begin(), cluster.nodes.end(), [](const NodeView& node) {
    return std::any_of(node.devices.begin(), node.devices.end(),
                       [](const DeviceView& device) { return device.type != "cpu"; });
  });
}

Refusal needsGpu(EngineKind engine, const ClusterView& cluster) {
  std::string name(toText(engine));
  return {
      RefusalCode::NO_MATCHING_GPU,
      "engine " + name + " needs GPUs, and there is none among " + inventoryText(cluster),
      {},
      {"engine: native computes on CPUs", "engine: llama.cpp does so with a GGUF file",
       "a build of " + name + " for CPUs is a program of your own: engine: {kind: process, ...}",
       "add a node with a GPU"}};
}

// `gpu`: the kind that there is none of.
Refusal noMatchingDevice(const ReplicaPlanner& planner, const ClusterView& cluster,
                         const GpuRequirement& gpu) {
  EngineKind engine = planner.deployment().engine.kind;
  bool isEngine = deviceNeedOf(engine) == DeviceNeed::GPU && !hasGpu(cluster);
  if (isEngine) return needsGpu(engine, cluster);
  Refusal refusal{RefusalCode::NO_MATCHING_GPU,
                  "no " + gpuText(gpu) + " among " + inventoryText(cluster)};
  std::map<std::string, Bytes> kinds;
  for (const auto& node : cluster.nodes) {
    for (const auto& device : node.devices) {
      kinds[device.type] = std::max(kinds[device.type], device.memory);
    }
  }
  for (const auto& [type, memory] : kinds) {
    DeploymentSpec changed = planner.deployment();
    changed.gpu = {{type}, std::min(memory, changed.gpu.memoryMin), ""};
    if (!planner.with(changed).canEverFit(cluster)) continue;
    std::string fix = "gpu: {type: [" + type + "]";
    if (changed.gpu.memoryMin > Bytes{}) fix += ", min_memory: " + toText(changed.gpu.memoryMin);
    refusal.fixes.push_back(fix + "}");
  }
  refusal.fixes.push_back("add a node with one " + gpuText(gpu));
  return refusal;
}

std::string sizeText(const std::vector<Cut>& cuts, const std::vector<const DeviceView*>& matching) {
  Bytes largest;
  for (const auto* device : matching) largest = std::max(largest, device->memory);
  const Cut* best = &cuts.front();
  for (const auto& cut : cuts) {
    if (cut.largest() < best->largest()) best = &cut;
  }
  std::string wants = cutText(best->plan) + " wants " + counted(best->plan.worldSize(), "device");
  if (best->largest() > Bytes{}) wants += " of " + toShortText(best->largest());
  return wants + "; there " + (matching.size() == 1 ? "is " : "are ") +
         std::to_string(matching.size()) + ", the largest of " + toShortText(largest);
}

}  // namespace

std::vector<std::string> whatWouldFree(const ReplicaPlanner& planner, const ClusterView& cluster,
                                       const std::vector<Cut>& cuts) {
  Fixes fixes = openNodes(planner, cluster, cuts);
  const auto& deployment = planner.deployment();
  auto owners = holdersOf(cluster, deployment.tenant.value + "/" + deployment.name.value);
  std::vector<std::tuple<uint64_t, std::string>> order;
  order.reserve(owners.size());
  for (const auto& [name, owner] : owners) order.emplace_back(owner.devices, name);
  std::sort(order.begin(), order.end());
  order.resize(std::min(order.size(), CHANGES_TRIED_MAX));
  for (const auto& [devices, name] : order) {
    if (!planner.find(without(cluster, name), cuts, Occupancy::NOW)) continue;
    const auto& nodes = owners[name].nodes;
    fixes.push_back("muster delete " + name + " frees " + counted(devices, "device") + " on " +
                    listText({nodes.begin(), nodes.end()}));
    break;
  }
  return fixes;
}

Refusal whyNever(const ReplicaPlanner& planner, const ClusterView& cluster,
                 const std::vector<Cut>& cuts) {
  auto wish = planner.wishFor(cuts.front());
  bool anyNode = std::any_of(cluster.nodes.begin(), cluster.nodes.end(), [&](const auto& node) {
    return !refuseNode(node, cluster, wish, Occupancy::EMPTY);
  });
  auto matching = matchingDevices(cluster, wish);
  std::string nodes = "on " + nodeNames(cluster);
  if (!anyNode || fitsWithoutRules(planner, cluster)) {
    Refusal refusal{RefusalCode::TOPOLOGY_UNSATISFIED,
                    anyNode ? "the devices " + nodes +
                                  " would do, but not within the rules of gpu and placement: " +
                                  sizeText(cuts, matching)
                            : "placement allows none of " + nodeNames(cluster)};
    append(refusal.fixes, dropOneRule(planner, cluster));
    append(refusal.fixes, otherCut(planner, cluster));
    return refusal;
  }
  for (const auto& part : partsOf(wish)) {
    if (!matchingDevices(cluster, part.wish).empty()) continue;
    return noMatchingDevice(planner, cluster, part.wish.gpu);
  }
  Refusal refusal{RefusalCode::MODEL_DOES_NOT_FIT,
                  "not even an empty cluster would do: " + sizeText(cuts, matching) + ", " + nodes};
  append(refusal.fixes, otherCut(planner, cluster));
  append(refusal.fixes, shorterContext(planner, cluster));
  append(refusal.fixes, moreDevices(planner, cluster, matching));
  append(refusal.fixes, largerDevices(cuts, matching));
  return refusal;
}

}  // namespace muster::sharding
