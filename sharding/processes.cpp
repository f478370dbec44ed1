#include "sharding/processes.h"

#include <algorithm>
#include <numeric>

namespace muster::sharding {
namespace {

// The devices of one node, of one size of memory, in the order of their shards.
std::vector<RankPlacement> joinByNode(const Placement& shards) {
  std::vector<RankPlacement> nodes;
  for (const auto& shard : shards.ranks) {
    auto same = std::ranges::find_if(nodes, [&](const RankPlacement& node) {
      return node.node == shard.node && node.memory == shard.memory;
    });
    if (same == nodes.end()) {
      nodes.push_back(shard);
    } else {
      same->devices.insert(same->devices.end(), shard.devices.begin(), shard.devices.end());
    }
  }
  return nodes;
}

size_t commonShare(const std::vector<RankPlacement>& nodes) {
  size_t share = 0;
  for (const auto& node : nodes) share = std::gcd(share, node.devices.size());
  return share;
}

}  // namespace

Placement joinProcesses(const Placement& shards, ProcessShare share) {
  if (share == ProcessShare::DEVICE) return shards;
  auto nodes = joinByNode(shards);
  size_t equal = share == ProcessShare::EQUAL ? commonShare(nodes) : 0;
  Placement joined;
  for (const auto& node : nodes) {
    size_t each = equal == 0 ? node.devices.size() : equal;
    for (size_t first = 0; first < node.devices.size(); first += each) {
      auto begin = node.devices.begin() + static_cast<ptrdiff_t>(first);
      RankNumber rank{static_cast<uint32_t>(joined.ranks.size())};
      joined.ranks.push_back(
          {rank, node.node, {begin, begin + static_cast<ptrdiff_t>(each)}, node.memory});
    }
  }
  return joined;
}

uint64_t shardsOf(const Placement& placement, ProcessShare share) {
  if (share == ProcessShare::DEVICE) return placement.ranks.size();
  uint64_t shards = 0;
  for (const auto& rank : placement.ranks) shards += rank.devices.size();
  return shards;
}

}  // namespace muster::sharding
