#include "coordinator/objects/drain.h"

#include "coordinator/core/drain.h"

namespace muster::coordinator {

Json drainProgress(const State& state, const NodeName& node) {
  Json moving = Json::array();
  Json blocked = Json::array();
  for (const DrainStep& step : drainSteps(state, node)) {
    const DeploymentState* deployment = state.findDeployment(step.deployment);
    if (deployment == nullptr) continue;
    Json row = {{"tenant", deployment->spec.tenant.value},
                {"deployment", deployment->spec.name.value},
                {"replica", step.replica.value}};
    if (step.blockedBy.empty()) {
      row["state"] = "ends here, then it is placed on another node";
      moving.push_back(std::move(row));
    } else {
      row["reason"] = std::string(toText(step.reason));
      row["message"] = step.blockedBy;
      row["fix"] = step.fix;
      blocked.push_back(std::move(row));
    }
  }
  // Ranks that have ended for us but whose end their agent has not confirmed yet.
  for (const auto& [ref, retired] : state.retired) {
    for (const auto& [rank, placed] : retired.ranks) {
      if (placed.node != node) continue;
      moving.push_back({{"tenant", retired.tenant.value},
                        {"deployment", retired.name.value},
                        {"replica", ref.replica.value},
                        {"state", "its old ranks are stopping"}});
      break;
    }
  }
  return {{"moving", std::move(moving)}, {"blocked", std::move(blocked)}};
}

}  // namespace muster::coordinator
