#include "coordinator/objects/standing.h"

#include "coordinator/core/change.h"
#include "coordinator/core/time_math.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace muster::coordinator {
namespace {

constexpr size_t NAMED_MAX = 4;

GenerationRef refOf(const DeploymentState& deployment, ReplicaNumber number,
                    const PlacedGeneration& generation) {
  return {deployment.uid, number, generation.generation};
}

RankRef rankOf(const GenerationRef& ref, uint32_t rank) {
  return {ref.deployment, ref.replica, ref.generation, {rank}};
}

double rounded(double share) { return std::round(std::clamp(share, 0.0, 1.0) * 1000) / 1000; }

// Ranks known to be in the group: those past Joining, and those that a member of the group names.
std::set<uint32_t> joinedRanks(const ObjectView& view, const GenerationRef& ref,
                               const PlacedGeneration& generation) {
  std::set<uint32_t> joined;
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    ReplicaPhase phase = generation.ranks[i].phase;
    if (phase == ReplicaPhase::WARMING || phase == ReplicaPhase::READY) joined.insert(i);
    const auto* report = reportOf(view, generation.placement.ranks[i].node, rankOf(ref, i));
    if (report == nullptr) continue;
    for (RankNumber rank : report->joined) joined.insert(rank.value);
  }
  return joined;
}

struct Joining {
  std::vector<uint32_t> missing;
  size_t joined = 0;
};

Joining joiningOf(const ObjectView& view, const GenerationRef& ref,
                  const PlacedGeneration& generation) {
  std::set<uint32_t> joined = joinedRanks(view, ref, generation);
  Joining result;
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    if (!joined.contains(i)) result.missing.push_back(i);
  }
  result.joined = generation.ranks.size() - result.missing.size();
  return result;
}

// "14 of 16 joined; waiting 95s for rank 5 (gpu02:5), rank 13 (gpu04:5)"
std::string joiningText(const ObjectView& view, const ReplicaState& replica,
                        const Joining& joining) {
  const PlacedGeneration& generation = *replica.current;
  std::string text =
      std::to_string(joining.joined) + " of " + std::to_string(generation.ranks.size()) + " joined";
  if (joining.missing.empty()) return text;
  int64_t seconds = elapsed(replica.since, view.now).millis() / 1000;
  text += seconds < 1 ? "; waiting for " : "; waiting " + std::to_string(seconds) + "s for ";
  for (size_t i = 0; i < std::min(joining.missing.size(), NAMED_MAX); ++i) {
    text += (i == 0 ? "" : ", ") + rankName(generation.placement, {joining.missing[i]});
  }
  if (joining.missing.size() > NAMED_MAX) {
    text += " and " + std::to_string(joining.missing.size() - NAMED_MAX) + " more";
  }
  return text;
}

std::optional<double> loadingProgress(const ObjectView& view, const GenerationRef& ref,
                                      const PlacedGeneration& generation) {
  Bytes total;
  Bytes loaded;
  for (Bytes weights : generation.plan.rankWeights) total += weights;
  if (total.count == 0) return std::nullopt;
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    loaded += loadedBytes(view, rankOf(ref, i), generation);
  }
  return rounded(static_cast<double>(loaded.count) / static_cast<double>(total.count));
}

// What is less than a second away is about to be: "in 0s" would say nothing.
std::string fromNow(Duration left) { return left < 1_s ? "now" : "in " + toAge(left); }

std::string givesUp(const ObjectView& view, const PlacedGeneration& generation) {
  Duration left = elapsed(view.now, later(generation.placedAt, generation.spec.timeouts.ready));
  return "; gives up " + fromNow(left) + " (timeouts.ready)";
}

std::string nextOfPlaced(const ObjectView& view, const PlacedGeneration& generation,
                         ReplicaPhase phase) {
  switch (phase) {
    case ReplicaPhase::PENDING:
      return "the agents of its nodes start its ranks" + givesUp(view, generation);
    case ReplicaPhase::FETCHING:
    case ReplicaPhase::LOADING:
      return "its ranks join their group once everything is loaded" + givesUp(view, generation);
    case ReplicaPhase::JOINING:
    case ReplicaPhase::WARMING:
      return "Ready once all ranks are" + givesUp(view, generation);
    case ReplicaPhase::READY:
      return "";
    default:
      return "its other ranks are stopped, then it is tried again";
  }
}

std::string nextOfUnplaced(const ObjectView& view, const ReplicaState& replica) {
  if (view.now < replica.retryAt) {
    return "tried again " + fromNow(elapsed(view.now, replica.retryAt));
  }
  if (replica.answeredIndex.value != 0) {
    return "asked again as soon as devices become free or a node takes work";
  }
  return "placed at the leader's next look";
}

std::string nextOf(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                   const ReplicaState& replica) {
  if (deployment.deleting || number.value >= deployment.spec.replicas) {
    return "gone once its ranks have stopped";
  }
  return replica.current ? nextOfPlaced(view, *replica.current, replica.phase)
                         : nextOfUnplaced(view, replica);
}

bool hasTrouble(const ReplicaState& replica) {
  return replica.phase == ReplicaPhase::FAILED || !replica.firstError.empty();
}

}  // namespace

std::string referenceTo(const DeploymentState& deployment) {
  const DeploymentSpec& spec = deployment.spec;
  return spec.tenant.value == "default" ? spec.name.value : qualifiedName(spec.tenant, spec.name);
}

Bytes loadedBytes(const ObjectView& view, const RankRef& rank, const PlacedGeneration& generation) {
  const auto* report = reportOf(view, generation.placement.ranks[rank.rank.value].node, rank);
  return report != nullptr ? report->loaded : generation.ranks[rank.rank.value].loaded;
}

Standing standingOf(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                    const ReplicaState& replica) {
  Standing standing{replica.message, nextOf(view, deployment, number, replica), std::nullopt,
                    replica.fixes};
  std::string reference = referenceTo(deployment) + "/" + std::to_string(number.value);
  if (hasTrouble(replica)) standing.fix.push_back("muster logs " + reference + " --first-error");
  if (!replica.current) return standing;
  GenerationRef ref = refOf(deployment, number, *replica.current);
  switch (replica.phase) {
    case ReplicaPhase::FETCHING:
    case ReplicaPhase::LOADING:
      standing.progress = loadingProgress(view, ref, *replica.current);
      break;
    case ReplicaPhase::JOINING: {
      Joining joining = joiningOf(view, ref, *replica.current);
      standing.message = joiningText(view, replica, joining);
      standing.progress = rounded(static_cast<double>(joining.joined) /
                                  static_cast<double>(replica.current->ranks.size()));
      if (!joining.missing.empty()) {
        standing.fix.push_back("muster logs " + reference + "/" +
                               std::to_string(joining.missing.front()));
      }
      break;
    }
    case ReplicaPhase::READY:
      standing.progress = 1.0;
      break;
    default:
      break;
  }
  return standing;
}

std::optional<RefusalCode> codeOf(Reason reason) {
  switch (reason) {
    case Reason::WAITING_FOR_CAPACITY:
    case Reason::WAITING_FOR_PREEMPTION:
      return RefusalCode::WAITING_FOR_CAPACITY;
    case Reason::NO_MATCHING_GPU:
      return RefusalCode::NO_MATCHING_GPU;
    case Reason::TOPOLOGY_UNSATISFIED:
      return RefusalCode::TOPOLOGY_UNSATISFIED;
    case Reason::MODEL_DOES_NOT_FIT:
      return RefusalCode::MODEL_DOES_NOT_FIT;
    case Reason::FETCH_FAILED:
      return RefusalCode::FETCH_FAILED;
    case Reason::WEIGHTS_CORRUPT:
      return RefusalCode::WEIGHTS_CORRUPT;
    case Reason::JOIN_TIMEOUT:
      return RefusalCode::JOIN_TIMEOUT;
    case Reason::RANK_CRASHED:
      return RefusalCode::RANK_CRASHED;
    case Reason::RANK_STALLED:
      return RefusalCode::RANK_STALLED;
    case Reason::OUT_OF_GPU_MEMORY:
      return RefusalCode::OUT_OF_GPU_MEMORY;
    case Reason::ENGINE_EXITED:
      return RefusalCode::ENGINE_EXITED;
    case Reason::HEALTH_CHECK_FAILED:
      return RefusalCode::HEALTH_CHECK_FAILED;
    case Reason::NODE_LOST:
      return RefusalCode::NODE_LOST;
    case Reason::NODE_DRAINING:
      return RefusalCode::NODE_DRAINING;
    default:
      return std::nullopt;
  }
}

}  // namespace muster::coordinator
