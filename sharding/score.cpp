#include "sharding/score.h"

namespace muster::sharding {

bool isBetter(const NodeOffer& a, const NodeOffer& b) {
  for (const auto& rule : SOFT_RULES) {
    uint64_t ofA = rule.penalty(a);
    uint64_t ofB = rule.penalty(b);
    if (ofA != ofB) return ofA < ofB;
  }
  return a.node->name < b.node->name;
}

}  // namespace muster::sharding
