#include "coordinator/core/weight_offer.h"

#include <algorithm>
#include <set>

namespace muster::coordinator {
namespace {

// Room that is left for the inspector and for nodes without ranks of the model.
constexpr size_t READY_NODES_MAX = WEIGHT_PEERS_MAX - 2;

const PlacedGeneration* placedOn(const State& state, const NodeName& node, const RankRef& rank) {
  const PlacedGeneration* generation = state.findCurrent(generationOf(rank));
  if (generation == nullptr) return nullptr;
  const auto& ranks = generation->placement.ranks;
  bool isHere = rank.rank.value < ranks.size() && ranks[rank.rank.value].node == node;
  return isHere ? generation : nullptr;
}

const ModelManifest* manifestOf(const State& state, const PlacedGeneration& generation) {
  auto found = state.models.find(generation.spec.model.source);
  bool same = found != state.models.end() && found->second.digest == generation.manifestDigest;
  return same ? &found->second : nullptr;
}

bool hasSameSlices(const ShardPlan& a, const ShardPlan& b) {
  return a.tensor == b.tensor && a.pipeline == b.pipeline && a.expert == b.expert &&
         a.stageFirstLayer == b.stageFirstLayer;
}

// Calls `visit(node, ref, generation)` for each Ready rank that loaded its slices of this model.
template <class Visit>
void eachReadyRank(const State& state, const std::string& manifestDigest, Visit visit) {
  for (const auto& [uid, deployment] : state.deployments) {
    for (const auto& [number, replica] : deployment.replicas) {
      if (!replica.current || replica.current->manifestDigest != manifestDigest) continue;
      const PlacedGeneration& generation = *replica.current;
      if (generation.spec.engine.kind != EngineKind::NATIVE) continue;
      for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
        if (generation.ranks[i].phase != ReplicaPhase::READY) continue;
        visit(generation.placement.ranks[i].node, RankRef{uid, number, generation.generation, {i}},
              generation);
      }
    }
  }
}

}  // namespace

Result<WeightOffer> offerWeights(const State& state, const NodeName& node, const RankRef& rank,
                                 const std::vector<NodeName>& serving) {
  const PlacedGeneration* asking = placedOn(state, node, rank);
  if (asking == nullptr) {
    return Refusal{RefusalCode::STALE_ORDER,
                   "the rank that asks is not placed on node " + node.value + " any more"};
  }
  const ModelManifest* manifest = manifestOf(state, *asking);
  if (manifest == nullptr) {
    return Refusal{RefusalCode::MODEL_NOT_FOUND, "the cluster does not know model " +
                                                     asking->spec.model.source + " of digest " +
                                                     asking->manifestDigest};
  }
  WeightOffer offer{.manifest = manifest};
  std::set<NodeName> ready;
  eachReadyRank(state, asking->manifestDigest,
                [&](const NodeName& at, const RankRef& ref, const PlacedGeneration& generation) {
                  ready.insert(at);
                  if (ref.rank == rank.rank && hasSameSlices(generation.plan, asking->plan)) {
                    offer.twins.emplace_back(at, ref);
                  }
                });
  std::set<NodeName> open(serving.begin(), serving.end());
  open.erase(node);
  auto add = [&](const NodeName& one, size_t most) {
    if (offer.nodes.size() < most && open.erase(one) != 0) offer.nodes.push_back(one);
  };
  std::vector<NodeName> inTurn(ready.begin(), ready.end());
  if (!inTurn.empty()) {
    auto first = static_cast<std::ptrdiff_t>(rank.rank.value % inTurn.size());
    std::rotate(inTurn.begin(), inTurn.begin() + first, inTurn.end());
  }
  for (const NodeName& one : inTurn) add(one, READY_NODES_MAX);
  add(manifest->inspectedBy, WEIGHT_PEERS_MAX);
  for (const NodeName& one : serving) add(one, WEIGHT_PEERS_MAX);
  return offer;
}

}  // namespace muster::coordinator
