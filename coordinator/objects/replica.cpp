#include "coordinator/objects/replica.h"

#include "coordinator/objects/standing.h"

#include <set>

namespace muster::coordinator {
namespace {

Json planOf(const ShardPlan& plan) {
  return {{"tp", plan.tensor},
          {"pp", plan.pipeline},
          {"ep", plan.expert},
          {"stage_first_layer", plan.stageFirstLayer}};
}

Json nodesOf(const Placement& placement) {
  std::set<std::string> nodes;
  for (const auto& rank : placement.ranks) nodes.insert(rank.node.value);
  return nodes;
}

Json sliceObject(const SliceReport& slice) {
  return {{"tensor", slice.tensor},    {"file", slice.file},   {"offset", slice.offset},
          {"bytes", slice.bytes},      {"shape", slice.shape}, {"ranges", slice.ranges},
          {"checksum", slice.checksum}};
}

Json slicesOf(const RankReport* report) {
  Json slices = Json::array();
  if (report == nullptr) return slices;
  for (const auto& slice : report->slices) slices.push_back(sliceObject(slice));
  return slices;
}

Json devicesOf(const RankPlacement& rank) {
  Json devices = Json::array();
  for (DeviceIndex device : rank.devices) devices.push_back(device.value);
  return devices;
}

}  // namespace

Json replicaObject(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                   const ReplicaState& replica) {
  Standing standing = standingOf(view, deployment, number, replica);
  const auto& current = replica.current;
  return {{"kind", "replica"},
          {"tenant", deployment.spec.tenant.value},
          {"deployment", deployment.spec.name.value},
          {"replica", number.value},
          {"generation", current ? current->generation.value : 0},
          {"revision", current ? current->revision.value : deployment.revision.value},
          {"phase", toText(replica.phase)},
          {"reason", toText(replica.reason)},
          {"message", standing.message},
          {"since", toRfc3339(replica.sinceWall)},
          {"next", standing.next},
          {"progress", standing.progress ? Json(*standing.progress) : Json()},
          {"fix", standing.fix},
          {"plan", current ? planOf(current->plan) : Json()},
          {"ranks", current ? current->ranks.size() : 0},
          {"nodes", current ? nodesOf(current->placement) : Json::array()}};
}

Json rankObject(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                const PlacedGeneration& generation, RankNumber rank) {
  const RankState& state = generation.ranks[rank.value];
  const RankPlacement& placed = generation.placement.ranks[rank.value];
  RankRef ref{deployment.uid, number, generation.generation, rank};
  const RankReport* report = reportOf(view, placed.node, ref);
  return {{"kind", "rank"},
          {"tenant", deployment.spec.tenant.value},
          {"deployment", deployment.spec.name.value},
          {"replica", number.value},
          {"rank", rank.value},
          {"generation", generation.generation.value},
          {"phase", toText(state.phase)},
          {"reason", toText(state.reason)},
          {"message", state.message},
          {"since", toRfc3339(state.sinceWall)},
          {"node", placed.node.value},
          {"devices", devicesOf(placed)},
          {"pid", state.pid},
          {"start_time", state.processStartTime},
          {"bytes_loaded", loadedBytes(view, ref, generation).count},
          {"slices", slicesOf(report)},
          {"rendezvous", state.rendezvous},
          {"first_error", state.firstError}};
}

}  // namespace muster::coordinator
