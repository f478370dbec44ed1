#include "coordinator/objects/why.h"

#include "coordinator/core/cluster_view.h"
#include "coordinator/objects/standing.h"
#include "sharding/placer.h"

namespace muster::coordinator {
namespace {

struct Wish {
  std::string wants;
  Json verdicts = Json::array();
  std::vector<std::string> fix;
};

template <class Verdict>
Json verdictObject(const Verdict& verdict) {
  return {{"node", verdict.node.value}, {"verdict", verdict.verdict}, {"detail", verdict.detail}};
}

// What the planner says now; what it said when the replica was told to wait where it says yes by
// now.
Wish wishOf(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
            const ReplicaState& replica) {
  Wish wish;
  auto outcome = sharding::planReplica(deployment.spec, manifestOf(view.state, deployment.spec),
                                       clusterView(view.state), siblingNodes(deployment, number));
  if (const auto* refused = std::get_if<sharding::RefusedReplica>(&outcome)) {
    wish.wants = refused->wants;
    for (const auto& node : refused->nodes) wish.verdicts.push_back(verdictObject(node));
    wish.fix = refused->refusal.fixes;
    return wish;
  }
  for (const auto& node : replica.verdicts) wish.verdicts.push_back(verdictObject(node));
  return wish;
}

bool isWaiting(const DeploymentState& deployment, ReplicaNumber number,
               const ReplicaState& replica) {
  return replica.phase != ReplicaPhase::READY && number.value < deployment.spec.replicas;
}

void addMissing(std::vector<std::string>& to, const std::vector<std::string>& from) {
  for (const auto& text : from) {
    if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(text);
  }
}

}  // namespace

Json whyObject(const ObjectView& view, const DeploymentState& deployment) {
  Json waiting = Json::array();
  std::optional<Wish> wish;
  std::vector<std::string> fix;
  std::string next;
  for (const auto& [number, replica] : deployment.replicas) {
    if (!isWaiting(deployment, number, replica)) continue;
    Standing standing = standingOf(view, deployment, number, replica);
    waiting.push_back({{"replica", number.value},
                       {"phase", toText(replica.phase)},
                       {"reason", toText(replica.reason)},
                       {"message", standing.message},
                       {"since", toRfc3339(replica.sinceWall)},
                       {"next", standing.next}});
    if (next.empty()) next = standing.next;
    if (!replica.current && !wish) wish = wishOf(view, deployment, number, replica);
    addMissing(fix, standing.fix);
  }
  if (wish) addMissing(fix, wish->fix);
  auto code = codeOf(deployment.reason);
  return {{"version", 1},
          {"kind", "why"},
          {"deployment", deployment.spec.name.value},
          {"tenant", deployment.spec.tenant.value},
          {"phase", toText(deployment.phase)},
          {"since", toRfc3339(deployment.sinceWall)},
          {"reason", toText(deployment.reason)},
          {"code", code ? toText(*code) : ""},
          {"message", deployment.message},
          {"wants", wish ? wish->wants : ""},
          {"verdicts", wish ? wish->verdicts : Json::array()},
          {"waiting", std::move(waiting)},
          {"next", next},
          {"fix", fix}};
}

}  // namespace muster::coordinator
