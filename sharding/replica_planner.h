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

// Finds seats for a gang in a cluster that it knows.
class GangPacker {
 public:
  virtual ~GangPacker() noexcept(false) = default;
  // `cut`: of which of the cuts that are tried this is the wish. See packGang().
  virtual std::optional<std::vector<Seat>> pack(size_t cut, TensorScope scope,
                                                Occupancy occupancy) = 0;
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

// ReplicaPlanner::find over whatever the packer knows. `wishes`: of the cuts. `largest`: device of
// all.
std::optional<FoundPlace> findPlace(GangPacker& packer, const std::vector<GangWish>& wishes,
                                    Bytes largest, Occupancy occupancy);

// The seats as a placement. What a rank of a wish for WHOLE devices takes is only known now, and
// put into `plan`.
Placement placementOf(const std::vector<Seat>& seats, const GangWish& wish, ShardPlan& plan);

// The model as the native engine would read it; nothing for a process whose model we do not know.
Result<std::optional<ModelSpec>> readModel(const DeploymentSpec& deployment,
                                           const ModelManifest& manifest);

// Devices of the kind asked for on the nodes asked for, busy or not.
std::vector<const DeviceView*> matchingDevices(const ClusterView& cluster, const GangWish& wish);

// The largest world that is searched on a cluster: its devices, within reason.
uint32_t worldMaxOf(uint64_t devices);
uint32_t worldMaxOf(const ClusterView& cluster);

}  // namespace muster::sharding
