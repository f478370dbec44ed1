#include "sharding/constraints.h"

#include "sharding/stage_kinds.h"
#include "sharding/text.h"

#include <algorithm>
#include <map>
#include <set>

namespace muster::sharding {
namespace {

bool contains(const std::vector<NodeName>& names, const NodeName& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// --- Rules for nodes. Each gives the sentence of its refusal, or an empty text.

struct NodeCase {
  const NodeView& node;
  const ClusterView& cluster;
  const GangWish& wish;
  Occupancy occupancy;
};

std::string notAskedFor(const NodeCase& c) {
  const auto& rules = c.wish.rules;
  if (!rules.pool.empty() && labelOf(c.node, "pool") != rules.pool) {
    return "not in pool " + rules.pool;
  }
  if (!rules.nodes.empty() && !contains(rules.nodes, c.node.name)) {
    return "not among placement.nodes";
  }
  if (contains(rules.exclude, c.node.name)) return "in placement.exclude";
  return {};
}

std::string isClosed(const NodeCase& c) {
  return c.occupancy == Occupancy::NOW ? c.node.closedDetail : std::string();
}

std::string holdsSibling(const NodeCase& c) {
  const auto& spread = c.wish.rules.spread;
  if (!spread) return {};
  std::string owner = c.wish.tenant.value + "/" + c.wish.deployment.value;
  if (contains(c.wish.siblings, c.node.name)) {
    return "has another replica of " + owner + ", spread wants another node";
  }
  if (*spread != Spread::RACK || c.node.rack.empty()) return {};
  for (const auto& other : c.cluster.nodes) {
    if (other.rack == c.node.rack && contains(c.wish.siblings, other.name)) {
      return "rack " + c.node.rack + " has another replica of " + owner + " on " +
             other.name.value + ", spread wants another rack";
    }
  }
  return {};
}

struct NodeRule {
  const char* verdict;  // null: the node has its own word
  std::string (*refuse)(const NodeCase&);
};
constexpr NodeRule NODE_RULES[] = {
    {"excluded", notAskedFor},
    {nullptr, isClosed},
    {"spread", holdsSibling},
};

// --- Rules for devices.

struct DeviceCase {
  const DeviceView& device;
  const GangWish& wish;
  Bytes memory;
  Occupancy occupancy;
};

bool isRightType(const DeviceCase& c) { return isRightKind(c.device, c.wish); }

bool isLargeEnough(const DeviceCase& c) {
  return c.device.memory >= c.memory && c.device.memory + c.device.overhead >= c.wish.gpu.memoryMin;
}

bool isHealthy(const DeviceCase& c) {
  return c.occupancy == Occupancy::EMPTY || c.device.unhealthy.empty();
}

// Two ranks of one deployment on one device would only halve its speed and share its fate.
bool isFree(const DeviceCase& c) {
  if (c.occupancy == Occupancy::EMPTY || c.device.uses.empty()) return true;
  if (c.wish.sharing == Sharing::WHOLE) return false;
  bool isOurs = std::any_of(c.device.uses.begin(), c.device.uses.end(), [&](const DeviceUse& use) {
    return use.tenant == c.wish.tenant && use.deployment == c.wish.deployment;
  });
  return !isOurs && freeMemoryOf(c.device) >= c.memory;
}

struct DeviceRule {
  const char* verdict;
  bool (*allows)(const DeviceCase&);
};
constexpr DeviceRule DEVICE_RULES[] = {
    {"type", isRightType},
    {"memory", isLargeEnough},
    {"health", isHealthy},
    {"busy", isFree},
};

// The verdict of the first rule that says no; null when all allow.
const char* refuseDevice(const DeviceCase& c) {
  for (const auto& rule : DEVICE_RULES) {
    if (!rule.allows(c)) return rule.verdict;
  }
  return nullptr;
}

// --- Sentences.

// Who is on these devices: "2 used by lab/tests, 1 by search/ranker".
std::string ownersText(const std::vector<const DeviceView*>& devices) {
  std::map<std::string, std::set<DeviceIndex>> byOwner;
  for (const auto* device : devices) {
    for (const auto& use : device->uses) {
      byOwner[use.tenant.value + "/" + use.deployment.value].insert(device->index);
    }
  }
  std::vector<std::string> parts;
  parts.reserve(byOwner.size());
  for (const auto& [owner, used] : byOwner) {
    parts.push_back(std::to_string(used.size()) + (parts.empty() ? " used by " : " by ") + owner);
  }
  return listText(parts);
}

std::string typesText(const NodeView& node) {
  std::set<std::string> types;
  for (const auto& device : node.devices) types.insert(device.type);
  return types.empty() ? "no devices" : listText({types.begin(), types.end()});
}

std::string largestText(const NodeView& node, const GangWish& wish) {
  Bytes largest;
  for (const auto& device : node.devices) {
    if (isRightKind(device, wish)) largest = std::max(largest, device.memory);
  }
  return "largest device " + toShortText(largest) + ", " +
         toShortText(std::max(wish.memoryMax(), wish.gpu.memoryMin)) + " wanted";
}

// Lower is better for the gang; the verdicts of the rules for nodes are the same for all stages.
size_t placeOf(const NodeVerdict& verdict) {
  constexpr std::string_view ORDER[] = {"fits", "short", "busy", "health", "memory", "type"};
  return static_cast<size_t>(std::ranges::find(ORDER, verdict.verdict) - std::begin(ORDER));
}

}  // namespace

Bytes GangWish::memoryMax() const {
  return stageMemory.empty() ? Bytes{} : *std::max_element(stageMemory.begin(), stageMemory.end());
}

bool isRightKind(const DeviceView& device, const GangWish& wish) {
  const GpuRequirement& gpu = wish.gpu;
  bool wantsGpu = gpu.link == "nvlink" || wish.devices == DeviceNeed::GPU;
  if (wantsGpu && device.type == "cpu") return false;
  return gpu.types.empty() ||
         std::find(gpu.types.begin(), gpu.types.end(), device.type) != gpu.types.end();
}

std::optional<NodeVerdict> refuseNode(const NodeView& node, const ClusterView& cluster,
                                      const GangWish& wish, Occupancy occupancy) {
  for (const auto& rule : NODE_RULES) {
    std::string why = rule.refuse({node, cluster, wish, occupancy});
    if (why.empty()) continue;
    return NodeVerdict{node.name, rule.verdict == nullptr ? node.closed : rule.verdict, why};
  }
  return std::nullopt;
}

std::vector<Seat> seatsOf(const NodeView& node, const GangWish& wish, Bytes memory,
                          Occupancy occupancy) {
  std::vector<Seat> seats;
  for (const auto& device : node.devices) {
    if (refuseDevice({device, wish, memory, occupancy}) != nullptr) continue;
    bool empty = occupancy == Occupancy::EMPTY || device.uses.empty();
    seats.push_back({&node, &device, empty ? device.memory : freeMemoryOf(device), empty});
  }
  return seats;
}

NodeVerdict judgeNode(const NodeView& node, const ClusterView& cluster, const GangWish& wish) {
  if (auto refused = refuseNode(node, cluster, wish, Occupancy::NOW)) return *refused;
  std::map<std::string, std::vector<const DeviceView*>> refused;
  uint64_t free = 0;
  for (const auto& device : node.devices) {
    const char* verdict = refuseDevice({device, wish, wish.memoryMax(), Occupancy::NOW});
    if (verdict == nullptr) {
      ++free;
    } else {
      refused[verdict].push_back(&device);
    }
  }
  std::string freeText = std::to_string(free) + " free";
  if (free >= wish.tensor) return {node.name, "fits", freeText};
  const auto& busy = refused["busy"];
  if (free > 0) {
    std::string more = busy.empty() ? "" : "; " + ownersText(busy);
    return {node.name, "short", freeText + more};
  }
  if (!busy.empty()) return {node.name, "busy", ownersText(busy)};
  if (!refused["health"].empty()) {
    return {node.name, "health", refused["health"].front()->unhealthy};
  }
  if (!refused["memory"].empty()) return {node.name, "memory", largestText(node, wish)};
  return {node.name, "type", typesText(node)};
}

std::vector<NodeVerdict> judgeNodes(const ClusterView& cluster, const GangWish& wish) {
  auto parts = partsOf(wish);
  std::vector<NodeVerdict> verdicts;
  for (const auto& node : cluster.nodes) {
    verdicts.push_back(judgeNode(node, cluster, parts.front().wish));
    for (size_t i = 1; i < parts.size(); ++i) {
      auto other = judgeNode(node, cluster, parts[i].wish);
      if (placeOf(other) < placeOf(verdicts.back())) verdicts.back() = std::move(other);
    }
  }
  return verdicts;
}

}  // namespace muster::sharding
