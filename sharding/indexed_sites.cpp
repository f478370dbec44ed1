#include "sharding/indexed_sites.h"

#include <algorithm>

namespace muster::sharding {
namespace {

bool isAmong(const std::deque<Site>& opened, const NodeName& node) {
  return std::ranges::any_of(opened, [&](const Site& site) { return site.node->name == node; });
}

}  // namespace

GroupOffers::GroupOffers(Question question)
    : asked_(question),
      least_(*std::ranges::min_element(question.wish.stageMemory)),
      known_(question.layers.size()) {}

Site GroupOffers::open(const NodeView& node) const {
  return siteOf(node, asked_.wish, least_, asked_.scope, asked_.occupancy);
}

NodeOffer GroupOffers::offer(const Site& site, const StagesLeft& left) const {
  return offerOf(site, asked_.wish, left);
}

std::optional<NodeOffer> GroupOffers::offer(size_t layer, const NodeGroup& group,
                                            const NodeView& node, const StagesLeft& left) {
  auto& offers = known_[layer][group.id].offers;
  auto known = offers.find(left);
  if (known == offers.end()) {
    Site site = open(node);
    std::optional<NodeOffer> made;
    if (site.groupsFor(left.next, tensor()) > 0) made = offer(site, left);
    known = offers.emplace(left, made).first;
  }
  std::optional<NodeOffer> offer = known->second;
  if (offer) offer->node = &node;
  return offer;
}

const NodeView* GroupOffers::first(size_t layer, const NodeGroup& group, const std::string* rack,
                                   const std::deque<Site>& opened) {
  const Layer& from = asked_.layers[layer];
  const std::set<NodeName>* nodes = &group.nodes;
  if (rack != nullptr) {
    auto ofRack = group.byRack.find(*rack);
    if (ofRack == group.byRack.end()) return nullptr;
    nodes = &ofRack->second;
  }
  bool remembers = from.isStill && rack == nullptr;
  Known& known = known_[layer][group.id];
  if (remembers && known.none) return nullptr;
  auto name = remembers ? nodes->lower_bound(known.from) : nodes->begin();
  bool onlyPassed = true;  // every node so far is out for good, not just opened by this gang
  for (; name != nodes->end(); ++name) {
    const NodeView& node = *from.index->find(*name);
    if ((from.isMasked && from.isMasked(*name)) || asked_.refuses(node)) continue;
    if (remembers && onlyPassed) known.from = *name;
    if (!isAmong(opened, *name)) return &node;
    onlyPassed = false;
  }
  known.none |= remembers && onlyPassed;
  return nullptr;
}

// The best offer so far, and where it is from.
struct IndexedSites::Best {
  std::optional<NodeOffer> offer;
  Site* site = nullptr;  // an opened one; null: `offer.node` is still to be opened

  void consider(const NodeOffer& other, Site* from) {
    if (offer && !isBetter(other, *offer)) return;
    offer = other;
    site = from;
  }
};

Site* IndexedSites::choose(const StagesLeft& left) {
  Best best;
  lookAtOpened(best, left);
  for (size_t layer = 0; layer < offers_.layers().size(); ++layer) {
    lookAtGroups(best, layer, left);
  }
  if (!best.offer) return nullptr;
  Site* site = open(best);
  if (firstRack_.empty()) firstRack_ = site->node->rack;
  return site;
}

void IndexedSites::lookAtOpened(Best& best, const StagesLeft& left) {
  for (size_t i = 0; i < opened_.size(); ++i) {
    Site& site = opened_[i];
    if (site.groupsFor(left.next, offers_.tensor()) == 0) continue;
    NodeOffer offer = offers_.offer(site, left);
    offer.hasSibling = hasSibling_[i];
    offer.isOtherRack = !firstRack_.empty() && site.node->rack != firstRack_;
    best.consider(offer, &site);
  }
}

// Of each group its first node in the rack of the first stage, else its first: nothing of the group
// is better.
void IndexedSites::lookAtGroups(Best& best, size_t layer, const StagesLeft& left) {
  bool hasSiblings = offers_.layers()[layer].hasSiblings;
  // No layer with siblings is better than one without.
  if (hasSiblings && best.offer && !best.offer->hasSibling) return;
  for (const auto& [profile, group] : offers_.groups(offers_.layers()[layer])) {
    const NodeView* any = offers_.layers()[layer].index->find(*group.nodes.begin());
    auto offer = offers_.offer(layer, group, *any, left);
    if (!offer) continue;
    offer->hasSibling = hasSiblings;
    const NodeView* node = nullptr;
    if (!firstRack_.empty()) node = offers_.first(layer, group, &firstRack_, opened_);
    if (node == nullptr) {
      node = offers_.first(layer, group, nullptr, opened_);
      offer->isOtherRack = !firstRack_.empty();
    }
    if (node == nullptr) continue;
    offer->node = node;
    best.consider(*offer, nullptr);
  }
}

Site* IndexedSites::open(const Best& best) {
  if (best.site != nullptr) return best.site;
  opened_.push_back(offers_.open(*best.offer->node));
  hasSibling_.push_back(best.offer->hasSibling);
  return &opened_.back();
}

}  // namespace muster::sharding
