#include "protocol/report_change.h"

#include <algorithm>
#include <set>
#include <utility>

namespace muster {
namespace {

const RankReport* findRank(const std::vector<RankReport>& ranks, const RankRef& ref) {
  auto found = std::ranges::find(ranks, ref, &RankReport::ref);
  return found == ranks.end() ? nullptr : &*found;
}

}  // namespace

ReportChange changeBetween(const NodeReport& base, const NodeReport& now) {
  ReportChange change{.sequence = now.sequence, .base = base.sequence};
  for (const RankReport& rank : now.ranks) {
    const RankReport* before = findRank(base.ranks, rank.ref);
    if (before == nullptr || *before != rank) change.ranks.push_back(rank);
  }
  for (const RankReport& before : base.ranks) {
    if (findRank(now.ranks, before.ref) == nullptr) change.gone.push_back(before.ref);
  }
  if (now.obeyed != base.obeyed) change.obeyed = now.obeyed;
  if (now.unhealthy != base.unhealthy) change.unhealthy = now.unhealthy;
  return change;
}

void takeRanks(std::vector<RankReport>& ranks, ReportChange change) {
  std::set<RankRef> replaced(change.gone.begin(), change.gone.end());
  for (const RankReport& rank : change.ranks) replaced.insert(rank.ref);
  std::erase_if(ranks, [&](const RankReport& rank) { return replaced.contains(rank.ref); });
  std::ranges::move(change.ranks, std::back_inserter(ranks));
  std::ranges::sort(ranks, {}, &RankReport::ref);
}

}  // namespace muster
