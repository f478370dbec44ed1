// The search behind planReplica(): tries cuts and scopes in the order of preference on a cluster,
// real or supposed.
#pragma once

#include "sharding/gang.h"
#include "sharding/model_spec.h"
#include "sharding/search.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::sharding {

// A cut and the devices it goes on.
struct FoundPlace {
  size_t cut = 0;  // index into the cuts that were tried
  TensorScope scope = TensorScope::ISLAND;
  std::vector<Seat> seats;  // shape [world size], by rank; borrow from the cluster
};

// Everything about one replica that does not depend on the cluster. Values are copied, `tensors` is
// borrowed.
class ReplicaPlanner {
 public:
  // `spec`: nothing for a model that only its engine understands.
  ReplicaPlanner(DeploymentSpec deployment, std::optional<ModelSpec> spec,
                 const std::vector<TensorInfo>& tensors, std::vector<NodeName> siblings);

  const DeploymentSpec& deployment() const { return deployment_; }
  const std::optional<ModelSpec>& spec() const { return spec_; }
  const std::vector<NodeName>& siblings() const { return siblings_; }

  // The same replica with another deployment: for asking what a change would do.
  ReplicaPlanner with(DeploymentSpec deployment) const;

  // Cuts in the order of preference, of up to `worldMax` devices unless the deployment fixes their
  // number.
  Result<std::vector<Cut>> cuts(uint32_t worldMax) const;

  GangWish wishFor(const Cut& cut) const;

  // The first cut that can be placed: fewer devices first; among equals the nearest scope, then
  // fewer stages. On a cluster as it is NOW, a scope is left out when the EMPTY cluster could hold
  // the gang in a nearer one.
  std::optional<FoundPlace> find(const ClusterView& cluster, const std::vector<Cut>& cuts,
                                 Occupancy occupancy) const;

  // Whether some cut of up to devicesOf(cluster) ranks fits the cluster if it were empty.
  bool canEverFit(const ClusterView& cluster) const;

 private:
  DeploymentSpec deployment_;
  std::optional<ModelSpec> spec_;
  const std::vector<TensorInfo>& tensors_;
  std::vector<NodeName> siblings_;
};

// Devices of the kind asked for on the nodes asked for, busy or not.
std::vector<const DeviceView*> matchingDevices(const ClusterView& cluster, const GangWish& wish);

// The largest world that is searched on this cluster: its devices, within reason.
uint32_t worldMaxOf(const ClusterView& cluster);

}  // namespace muster::sharding
