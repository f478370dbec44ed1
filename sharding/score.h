// Which of the nodes that could take the next stages of a gang is the best: named penalties,
// compared in order.
#pragma once

#include "sharding/cluster_view.h"

#include <array>
#include <cstdint>

namespace muster::sharding {

// What choosing a node would mean.
struct NodeOffer {
  const NodeView* node = nullptr;
  bool hasSibling = false;       // another replica of the deployment runs there
  bool isOtherRack = false;      // than the stages placed before
  uint64_t stagesLeft = 0;       // of the gang, which this node cannot take as well
  uint64_t devicesShared = 0;    // with other deployments
  uint64_t devicesLeftOver = 0;  // free ones that stay free
};

struct SoftRule {
  const char* name;
  uint64_t (*penalty)(const NodeOffer&);
};

// Earlier rules outweigh all later ones; the lower name wins what is left.
inline constexpr std::array<SoftRule, 5> SOFT_RULES{{
    {"away from other replicas", [](const NodeOffer& o) { return uint64_t{o.hasSibling}; }},
    {"near the other stages", [](const NodeOffer& o) { return uint64_t{o.isOtherRack}; }},
    {"few nodes", [](const NodeOffer& o) { return o.stagesLeft; }},
    {"devices to itself", [](const NodeOffer& o) { return o.devicesShared; }},
    {"little left over", [](const NodeOffer& o) { return o.devicesLeftOver; }},
}};

// Whether `a` is to be taken rather than `b`.
bool isBetter(const NodeOffer& a, const NodeOffer& b);

}  // namespace muster::sharding
