// What agents say about ranks, as far as it is news.
#include "base/planted_bug.h"
#include "coordinator/core/reconcile_topics.h"

#include <algorithm>

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
    if (!hasEnded(known.phase) && isNews(known, report->second)) {
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

void reconcileNodeRanks(Look& look, const NodeName& name, const ObservedNode& seen) {
  auto devices = look.state.reservations.find(name);
  if (devices == look.state.reservations.end()) return;
  std::set<RankRef> here;
  for (const auto& [device, ranks] : devices->second) {
    for (const auto& [ref, promised] : ranks) here.insert(ref);
  }
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
