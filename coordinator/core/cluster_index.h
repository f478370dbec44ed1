// The planner's index of the cluster, kept beside the state: made once, then brought up to date
// where commands have changed something, so that placing does not look at every node.
#pragma once

#include "coordinator/core/state.h"
#include "sharding/index.h"

#include <optional>
#include <set>

namespace muster::coordinator {

class ClusterIndex {
 public:
  // This command was applied to the state that the next `of` is about.
  void note(const CommandBody& body);

  // The index of this state, the one that all noted commands were applied to. Cost O(cluster) the
  // first time, then O(what the commands since have touched).
  const sharding::PlacementIndex& of(const State& state);

 private:
  std::optional<sharding::PlacementIndex> index_;
  std::set<NodeName> changed_;  // since it was last asked for
};

}  // namespace muster::coordinator
