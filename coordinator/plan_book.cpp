#include "coordinator/plan_book.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

std::string drawId(Random& random, size_t digits) {
  static constexpr char HEX[] = "0123456789abcdef";
  std::string id = "p-";
  for (size_t i = 0; i < digits; ++i) id += HEX[random.below(16)];
  return id;
}

Refusal planAgain(const KeptPlan& plan, const std::string& what) {
  return {RefusalCode::REVISION_CONFLICT,
          "plan " + plan.id + " no longer holds: " + what,
          {},
          {"plan again"}};
}

std::string revisionText(Revision revision) {
  return revision.value == 0 ? "absent" : "revision " + std::to_string(revision.value);
}

}  // namespace

const KeptPlan& PlanBook::keep(KeptPlan plan, Random& random) {
  constexpr size_t DIGITS_MIN = 4;
  constexpr size_t TRIES = 8;  // of each length
  for (size_t tries = 0; plan.id.empty() || find(plan.id) != nullptr; ++tries) {
    plan.id = drawId(random, DIGITS_MIN + tries / TRIES);
  }
  plans_.push_back(std::move(plan));
  if (plans_.size() > PLANS_KEPT) plans_.pop_front();
  return plans_.back();
}

const KeptPlan* PlanBook::find(const std::string& id) const {
  auto found = std::ranges::find(plans_, id, &KeptPlan::id);
  return found == plans_.end() ? nullptr : &*found;
}

std::optional<Refusal> staleness(const KeptPlan& plan, const State& state, const Guid& inputs) {
  for (size_t i = 0; i < plan.documents.size(); ++i) {
    const DeploymentSpec& document = plan.documents[i];
    const auto* now = state.findDeployment(document.tenant, document.name);
    Revision revision = now != nullptr ? now->revision : Revision{};
    if (revision == plan.revisionsBefore[i]) continue;
    return planAgain(plan, "deployment " + document.name.value + " was " +
                               revisionText(plan.revisionsBefore[i]) + " and is " +
                               revisionText(revision));
  }
  if (inputs == plan.inputs) return std::nullopt;
  return planAgain(
      plan, "nodes, devices or what is promised of them have changed since cluster revision " +
                std::to_string(plan.clusterRevision.value));
}

}  // namespace muster::coordinator
