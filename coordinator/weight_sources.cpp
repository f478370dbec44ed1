#include "coordinator/weight_sources.h"

#include "coordinator/core/weight_offer.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

std::vector<NodeName> servingNodes(const WorkerRegistry& registry) {
  std::vector<NodeName> nodes;
  for (const auto& [node, attachment] : registry.all()) {
    if (!attachment.hello.weightAddress.empty()) nodes.push_back(node);
  }
  return nodes;
}

// Of the first rank that has told its slices.
std::map<std::string, std::string> checksumsOf(
    const WorkerRegistry& registry, const std::vector<std::pair<NodeName, RankRef>>& twins) {
  std::map<std::string, std::string> checksums;
  for (const auto& [node, rank] : twins) {
    const Attachment* attachment = registry.find(node);
    if (attachment == nullptr) continue;
    for (const RankReport& report : attachment->ranks) {
      if (report.ref != rank) continue;
      for (const SliceReport& slice : report.slices) checksums[slice.tensor] = slice.checksum;
    }
    if (!checksums.empty()) break;
  }
  return checksums;
}

}  // namespace

Result<WeightSources> weightSourcesOf(const State& state, const WorkerRegistry& registry,
                                      const NodeName& node, const RankRef& rank) {
  auto offer = offerWeights(state, node, rank, servingNodes(registry));
  if (!offer) return offer.refusal();
  WeightSources sources{
      .manifest = *offer->manifest, .peers = {}, .checksums = checksumsOf(registry, offer->twins)};
  for (const NodeName& peer : offer->nodes) {
    const Attachment* attachment = registry.find(peer);
    sources.peers.push_back({peer, attachment->hello.weightAddress});
  }
  return sources;
}

}  // namespace muster::coordinator
