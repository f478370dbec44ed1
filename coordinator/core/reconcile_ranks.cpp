// What agents say about ranks, as far as it is news.
#include "base/planted_bug.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reconcile_topics.h"

#include <algorithm>
#include <vector>

namespace muster::coordinator {
namespace {

bool hasEnded(ReplicaPhase phase) {
  return phase == ReplicaPhase::STOPPED || phase == ReplicaPhase::FAILED;
}

bool isNews(const RankState& known, const RankReport& report) {
  return known.phase != report.phase || known.reason != report.reason || known.pid != report.pid ||
         known.processStartTime != report.processStartTime ||
         known.rendezvous != report.rendezvous ||
         (known.firstError.empty() && !report.firstError.empty());
}

// An agent that has come back names the processes it found before it has asked them how they are.
// They are as we know them.
bool isUnasked(const RankState& known, const RankReport& report) {
  return report.phase == ReplicaPhase::PENDING && report.pid != 0 && report.pid == known.pid &&
         report.processStartTime == known.processStartTime;
}

// A replica that was to go, is still there and is wanted again. It is what its ranks are, which
// follows from the next word about one of them, news or not.
bool isWantedAgain(const Look& look, const RankRef& ref, const PlacedGeneration& generation) {
  const DeploymentState& deployment = look.state.deployments.at(ref.deployment);
  bool isWanted = !deployment.deleting && ref.replica.value < deployment.spec.replicas;
  return isWanted && deployment.replicas.at(ref.replica).phase == ReplicaPhase::DRAINING &&
         phaseOfRanks(generation).phase != ReplicaPhase::DRAINING;
}

RankProgressed progressOf(const RankReport& report) {
  return {.rank = report.ref,
          .phase = report.phase,
          .reason = report.reason,
          .message = report.message,
          .pid = report.pid,
          .processStartTime = report.processStartTime,
          .loaded = report.loaded,
          .rendezvous = report.rendezvous,
          .firstError = report.firstError};
}

// When it reported its ranks the agent had stored an order of this epoch that was made at `index`
// or after it.
bool obeyedSince(const Look& look, const ObservedNode& seen, LogIndex index) {
  return seen.reported.token == look.observed.token && seen.reported.index >= index;
}

// A process we know of and the agent no longer does, though it was told to keep it: it died unseen.
bool hasVanished(const Look& look, const ObservedNode& seen, const PlacedGeneration& generation,
                 const RankState& known) {
  return known.pid != 0 && !hasEnded(known.phase) &&
         obeyedSince(look, seen, generation.placedIndex);
}

void reconcileCurrent(Look& look, const ObservedNode& seen, const RankRef& ref,
                      const PlacedGeneration& generation) {
  if (ref.rank.value >= generation.ranks.size()) return;
  const RankState& known = generation.ranks[ref.rank.value];
  auto report = seen.ranks.find(ref);
  if (report != seen.ranks.end()) {
    // Of a rank that has ended, all that is left to hear is that its process is gone as well.
    bool processGone = known.pid != 0 && report->second.pid == 0;
    bool isTold = isNews(known, report->second) || isWantedAgain(look, ref, generation);
    bool heard = isTold && !isUnasked(known, report->second);
    if ((!hasEnded(known.phase) || processGone) && heard) {
      RankProgressed progress = progressOf(report->second);
      progress.rank = ref;
      look.propose(std::move(progress));
    }
  } else if (hasVanished(look, seen, generation, known)) {
    look.propose(RankProgressed{.rank = ref,
                                .phase = ReplicaPhase::FAILED,
                                .reason = Reason::RANK_CRASHED,
                                .message = "process " + std::to_string(known.pid) + " is gone",
                                .pid = known.pid,
                                .processStartTime = known.processStartTime,
                                .loaded = known.loaded,
                                .rendezvous = known.rendezvous,
                                .firstError = ""});
  }
}

// Only an agent that had taken an order without the rank before it reported cannot start it any
// more.
bool isReleased(const Look& look, const ObservedNode& seen, const RankRef& ref) {
  auto retired = look.state.retired.find(generationOf(ref));
  if (retired == look.state.retired.end()) return false;
  bool obeyed = obeyedSince(look, seen, retired->second.retiredIndex);
  if (!obeyed && !MUSTER_PLANTED_BUG(EARLY_RELEASE)) return false;
  auto report = seen.ranks.find(ref);
  if (report == seen.ranks.end()) return true;
  // A rank that failed may still be dying: its process is gone once the agent names none.
  return hasEnded(report->second.phase) && report->second.pid == 0;
}

// The ranks that devices of a node are promised to, each once, in their order. A vector: this is
// asked of every node in every look.
std::vector<RankRef> ranksOn(const State& state, const NodeName& node) {
  std::vector<RankRef> here;
  auto devices = state.reservations.find(node);
  if (devices == state.reservations.end()) return here;
  for (const auto& [device, ranks] : devices->second) {
    for (const auto& [ref, promised] : ranks) here.push_back(ref);
  }
  std::ranges::sort(here);
  here.erase(std::unique(here.begin(), here.end()), here.end());
  return here;
}

void reconcileNodeRanks(Look& look, const NodeName& name, const ObservedNode& seen) {
  std::vector<RankRef> here = ranksOn(look.state, name);
  RanksReleased released{.node = name, .ranks = {}};
  for (const RankRef& ref : here) {
    if (const PlacedGeneration* generation = look.state.findCurrent(generationOf(ref))) {
      reconcileCurrent(look, seen, ref, *generation);
    } else if (isReleased(look, seen, ref)) {
      released.ranks.push_back(ref);
    }
  }
  if (!released.ranks.empty()) look.propose(std::move(released));
}

}  // namespace

void reconcileRanks(Look& look) {
  for (const auto& [name, node] : look.state.nodes) {
    const ObservedNode* seen = look.attached(name);
    // What an agent says counts once the log knows that it is the one that speaks for the node.
    if (seen && seen->agent == node.agent) reconcileNodeRanks(look, name, *seen);
  }
}

}  // namespace muster::coordinator
