#include "sharding/index.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace muster::sharding {
namespace {

bool isUsedBy(const DeviceView& device, const Owner& owner) {
  return std::ranges::any_of(device.uses, [&](const DeviceUse& use) {
    return use.tenant == owner.first && use.deployment == owner.second;
  });
}

// A name that no other text is the beginning of.
void append(std::string& to, const std::string& name) {
  to += name;
  to += '\0';
}

void append(std::string& to, uint64_t number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// One device as far as a choice tells it from others.
struct Kind {
  uint32_t island;
  bool used;
  Bytes free;
  Bytes memory;
  const std::string* type;
  bool operator<(const Kind& other) const {
    return std::tie(island, used, free, memory, *type) <
           std::tie(other.island, other.used, other.free, other.memory, *other.type);
  }
};

std::string profileOf(const NodeView& node, std::vector<Kind> kinds) {
  std::sort(kinds.begin(), kinds.end());
  std::string profile;
  append(profile, labelOf(node, "pool"));
  append(profile, labelOf(node, "fabric"));
  for (const auto& kind : kinds) {
    append(profile, (uint64_t{kind.island} << 1) | uint64_t{kind.used});
    append(profile, kind.free.count);
    append(profile, kind.memory.count);
    append(profile, *kind.type);
  }
  return profile;
}

std::string profileEmpty(const NodeView& node) {
  std::vector<Kind> kinds;
  for (const auto& device : node.devices) {
    kinds.push_back({device.island, false, device.memory, device.memory, &device.type});
  }
  return profileOf(node, std::move(kinds));
}

// Whether both would be alike if they were empty.
bool isSameShape(const NodeView& a, const NodeView& b) {
  auto isSameDevice = [](const DeviceView& x, const DeviceView& y) {
    return x.index == y.index && x.island == y.island && x.memory == y.memory && x.type == y.type;
  };
  return a.rack == b.rack && a.labels == b.labels &&
         std::ranges::equal(a.devices, b.devices, isSameDevice);
}

bool isOpen(const NodeView& node) { return node.closedDetail.empty(); }

std::vector<Owner> ownersOf(const NodeView& node) {
  std::vector<Owner> owners;
  for (const auto& device : node.devices) {
    for (const auto& use : device.uses) {
      Owner owner{use.tenant, use.deployment};
      if (std::ranges::find(owners, owner) == owners.end()) owners.push_back(std::move(owner));
    }
  }
  return owners;
}

void part(PlacementIndex::Groups& groups, const std::string& profile, const NodeView& node) {
  auto group = groups.find(profile);
  group->second.nodes.erase(node.name);
  auto rack = group->second.byRack.find(node.rack);
  rack->second.erase(node.name);
  if (rack->second.empty()) group->second.byRack.erase(rack);
  if (group->second.nodes.empty()) groups.erase(group);
}

}  // namespace

PlacementIndex::PlacementIndex(const ClusterView& cluster) {
  for (const auto& node : cluster.nodes) put(node);
}

void PlacementIndex::put(NodeView node) {
  auto [entry, added] = nodes_.try_emplace(node.name);
  NodeView& known = entry->second;
  bool sameShape = !added && isSameShape(known, node);
  if (!added) leave(known, sameShape);
  known = std::move(node);
  enter(known, sameShape);
}

std::optional<NodeView> PlacementIndex::take(const NodeName& node) {
  auto entry = nodes_.find(node);
  if (entry == nodes_.end()) return std::nullopt;
  leave(entry->second, false);
  NodeView view = std::move(entry->second);
  nodes_.erase(entry);
  return view;
}

const NodeView* PlacementIndex::find(const NodeName& node) const {
  auto entry = nodes_.find(node);
  return entry == nodes_.end() ? nullptr : &entry->second;
}

const std::set<NodeName>& PlacementIndex::nodesOf(const Owner& owner) const {
  static const std::set<NodeName> NONE;
  auto entry = owners_.find(owner);
  return entry == owners_.end() ? NONE : entry->second;
}

void PlacementIndex::enter(const NodeView& node, bool sameShape) {
  if (isOpen(node)) join(now_, profileNow(node), node);
  for (const Owner& owner : ownersOf(node)) owners_[owner].insert(node.name);
  if (sameShape) return;
  join(empty_, profileEmpty(node), node);
  devices_ += node.devices.size();
  for (const auto& device : node.devices) ++sizes_[device.memory];
}

void PlacementIndex::leave(const NodeView& node, bool sameShape) {
  if (isOpen(node)) part(now_, profileNow(node), node);
  for (const Owner& owner : ownersOf(node)) {
    auto nodes = owners_.find(owner);
    nodes->second.erase(node.name);
    if (nodes->second.empty()) owners_.erase(nodes);
  }
  if (sameShape) return;
  part(empty_, profileEmpty(node), node);
  devices_ -= node.devices.size();
  for (const auto& device : node.devices) {
    auto size = sizes_.find(device.memory);
    if (--size->second == 0) sizes_.erase(size);
  }
}

void PlacementIndex::join(Groups& groups, std::string profile, const NodeView& node) {
  auto [group, added] = groups.try_emplace(std::move(profile));
  if (added) group->second.id = ++lastGroup_;
  group->second.nodes.insert(node.name);
  group->second.byRack[node.rack].insert(node.name);
}

std::string PlacementIndex::profileNow(const NodeView& node) const {
  std::vector<Kind> kinds;
  for (const auto& device : node.devices) {
    bool isTheirs = chooser_ && isUsedBy(device, *chooser_);
    if (!device.unhealthy.empty() || isTheirs) continue;
    bool used = !device.uses.empty();
    kinds.push_back({device.island, used, freeMemoryOf(device), device.memory, &device.type});
  }
  return profileOf(node, std::move(kinds));
}

ClusterView viewOf(const PlacementIndex& index) {
  ClusterView view;
  view.nodes.reserve(index.nodes().size());
  for (const auto& [name, node] : index.nodes()) view.nodes.push_back(node);
  return view;
}

}  // namespace muster::sharding
