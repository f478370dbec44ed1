// Chooses nodes for one gang from groups of equals. What a group offers is worked out once and
// remembered, for all gangs of one wish.
#pragma once

#include "sharding/index.h"
#include "sharding/site.h"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::sharding {

// Some of the nodes that may be chosen from.
struct Layer {
  const PlacementIndex* index = nullptr;
  bool hasSiblings = false;  // all of them have a sibling, or none
  // Nodes of the index that are not to be looked at; more may become so, none comes back.
  std::function<bool(const NodeName&)> isMasked;
  // Nodes are neither added to the index nor changed while it is chosen from.
  bool isStill = false;
};

// What the groups of all layers offer to one wish at one scope. What is borrowed outlives it.
class GroupOffers {
 public:
  // `refuses`: whether a node may not be taken whatever it has; see constraints.h.
  struct Question {
    const GangWish& wish;
    TensorScope scope;
    Occupancy occupancy;
    const std::vector<Layer>& layers;
    const std::function<bool(const NodeView&)>& refuses;
  };
  explicit GroupOffers(Question question);

  const std::vector<Layer>& layers() const { return asked_.layers; }
  const PlacementIndex::Groups& groups(const Layer& layer) const {
    return layer.index->groups(asked_.occupancy);
  }
  uint32_t tensor() const { return asked_.wish.tensor; }

  // What `node`, one of the group, offers; nothing when it cannot take the next stage.
  std::optional<NodeOffer> offer(size_t layer, const NodeGroup& group, const NodeView& node,
                                 const StagesLeft& left);
  // Of a node that some stages of this gang are on already.
  NodeOffer offer(const Site& site, const StagesLeft& left) const;
  // The first node of the group, by name, that may be taken and is not among the opened ones; null
  // when there is none. `rack`: of this rack only; null: of any.
  const NodeView* first(size_t layer, const NodeGroup& group, const std::string* rack,
                        const std::deque<Site>& opened);
  Site open(const NodeView& node) const;

 private:
  struct Known {
    std::map<StagesLeft, std::optional<NodeOffer>> offers;
    NodeName from;      // no node of the group before this one may be taken
    bool none = false;  // nor any other
  };

  Question asked_;
  Bytes least_;                                   // what the smallest stage needs
  std::vector<std::map<uint64_t, Known>> known_;  // by layer, by group
};

// The sites of one gang, as packStages wants them.
class IndexedSites {
 public:
  explicit IndexedSites(GroupOffers& offers) : offers_(offers) {}

  Site* choose(const StagesLeft& left);

 private:
  struct Best;
  void lookAtOpened(Best& best, const StagesLeft& left);
  void lookAtGroups(Best& best, size_t layer, const StagesLeft& left);
  Site* open(const Best& best);

  GroupOffers& offers_;
  std::deque<Site> opened_;       // stages may go on these again
  std::vector<bool> hasSibling_;  // of each opened site
  std::string firstRack_;
};

}  // namespace muster::sharding
