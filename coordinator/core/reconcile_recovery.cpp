#include "coordinator/core/reconcile_recovery.h"

#include "coordinator/core/advance.h"
#include "coordinator/core/cluster_view.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reservations.h"
#include "coordinator/core/time_math.h"
#include "sharding/replacement.h"

#include <algorithm>
#include <vector>

namespace muster::coordinator {
namespace {

// A generation that never became Ready may be followed in place this often before the whole gang
// starts anew, with pauses that grow: what fails again and again fails for a reason of its own.
constexpr uint32_t ATTEMPTS_MAX = 3;
// A process that is being killed is gone within milliseconds. Its device is the best place for its
// successor, and often the only one.
constexpr Duration GONE_WITHIN = 2_s;

// "gpu07:3 XID 79"; empty: all is well.
std::string deviceTrouble(const Look& look, const PlacedGeneration& generation,
                          const RankPlacement& rank) {
  const NodeState* node = look.state.findNode(rank.node);
  if (!node || node->describedAt < generation.placedIndex) return "";
  return gpuTrouble(*node, rank);
}

bool mayGoOn(const Look& look, const DeploymentState& deployment, const ReplicaState& replica) {
  const PlacedGeneration& generation = *replica.current;
  bool native = generation.spec.engine.kind == EngineKind::NATIVE;
  bool understood = look.state.schemaLevel >= SCHEMA_LEVEL_ADVANCES;
  bool hopeful = generation.readyAt.nanos != 0 || replica.failedAttempts < ATTEMPTS_MAX;
  return native && understood && hopeful && !isOutdated(deployment, replica);
}

// Until when the processes of lost ranks may still be dying; nothing when all are gone or out of
// reach.
std::optional<Instant> dyingUntil(const Look& look, const PlacedGeneration& generation,
                                  const Loss& loss) {
  std::optional<Instant> until;
  for (RankNumber rank : loss.ranks) {
    const RankState& state = generation.ranks[rank.value];
    bool dying = hasEnded(state) && !isGone(state) &&
                 look.attached(generation.placement.ranks[rank.value].node) != nullptr;
    if (dying) until = std::max(until.value_or(Instant{}), later(state.since, GONE_WITHIN));
  }
  return until;
}

std::optional<Placement> findPlaces(const Look& look, const DeploymentState& deployment,
                                    ReplicaNumber number, const PlacedGeneration& generation,
                                    const Loss& loss) {
  sharding::ReplacementWish wish{.deployment = generation.spec,
                                 .replica = number,
                                 .plan = generation.plan,
                                 .placement = generation.placement,
                                 .lost = loss.ranks,
                                 .gone = {},
                                 .siblings = siblingNodes(deployment, number)};
  for (RankNumber rank : loss.ranks) {
    if (isGone(generation.ranks[rank.value])) wish.gone.insert(rank);
  }
  std::set<NodeName> notAttached;
  for (const auto& [name, node] : look.state.nodes) {
    if (node.takesWork() && !look.attached(name)) notAttached.insert(name);
  }
  return sharding::replaceRanks(wish, clusterView(look.state, notAttached));
}

}  // namespace

Loss lossOf(const Look& look, const PlacedGeneration& generation) {
  Loss loss;
  auto note = [&](RankNumber rank, Reason reason, std::string message) {
    if (loss.ranks.empty()) {
      loss.reason = reason;
      loss.message = std::move(message);
    }
    loss.ranks.insert(rank);
  };
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    if (!hasEnded(generation.ranks[i])) continue;
    auto failed = phaseOfRanks(generation);
    note({i}, failed.reason, failed.message);
  }
  for (const auto& rank : generation.placement.ranks) {
    auto lost = look.givenUp.find(rank.node);
    if (lost != look.givenUp.end()) {
      note(rank.rank, Reason::NODE_LOST, "node " + rank.node.value + ": " + lost->second);
    } else if (auto trouble = deviceTrouble(look, generation, rank); !trouble.empty()) {
      note(rank.rank, Reason::GPU_UNHEALTHY, std::move(trouble));
    }
  }
  return loss;
}

Recovery recover(Look& look, const DeploymentState& deployment, ReplicaNumber number,
                 const Loss& loss) {
  const ReplicaState& replica = deployment.replicas.at(number);
  const PlacedGeneration& generation = *replica.current;
  bool somebodyStays = loss.ranks.size() < generation.ranks.size();
  if (!somebodyStays || !mayGoOn(look, deployment, replica)) return Recovery::IMPOSSIBLE;
  auto until = dyingUntil(look, generation, loss);
  if (until && look.now < *until) {
    look.wakeAt(*until);
    return Recovery::WAITING;
  }
  if (look.advancing.contains(deployment.uid)) {
    look.wakeAt({look.now.nanos + 1});
    return Recovery::WAITING;
  }
  auto places = findPlaces(look, deployment, number, generation, loss);
  if (!places) return Recovery::IMPOSSIBLE;
  ReplicaPlaced next{.deployment = deployment.uid,
                     .replica = number,
                     .generation = deployment.nextGeneration,
                     .revision = generation.revision,
                     .plan = generation.plan,
                     .placement = std::move(*places),
                     .secret = drawSecret(look.random)};
  if (checkAdvance(look.state, next)) return Recovery::IMPOSSIBLE;
  look.retiring.insert({deployment.uid, number, generation.generation});
  look.advancing.insert(deployment.uid);
  look.propose(std::move(next));
  return Recovery::ADVANCED;
}

}  // namespace muster::coordinator
