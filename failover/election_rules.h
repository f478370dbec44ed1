// The line of candidates and whose turn it is. Pure.
#pragma once

#include "base/units.h"
#include "failover/coordination.h"
#include "failover/epoch_view.h"
#include "failover/paths.h"
#include "failover/records.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::failover {

// The next in line acts at once, each one after it waits this much longer.
constexpr Duration TURN_DELAY = 50_ms;

// "c-<guid>-<sequence>", a name in the folder of candidates.
struct CandidateName {
  Guid guid;
  uint64_t sequence = 0;
  std::string name;
  bool operator==(const CandidateName&) const = default;
};

// Nothing when `name` is no candidate's.
std::optional<CandidateName> parseCandidateName(std::string_view name);

// Candidates in order of their sequence; names that are none, and those in `ignored`, are left out.
std::vector<CandidateName> lineOf(const std::vector<std::string>& names,
                                  const std::vector<std::string>& ignored);

// How many stand before `own`; nothing when `own` does not stand.
std::optional<size_t> placeOf(const std::vector<CandidateName>& line, const std::string& own);

// As placeOf(), in the line behind `leader`, who may stand anywhere in it.
std::optional<size_t> placeBehind(std::vector<CandidateName> line,
                                  const std::optional<CandidateName>& leader,
                                  const std::string& own);

// The candidate of the leader that `view` names, if it stands.
std::optional<CandidateName> leaderIn(const std::vector<CandidateName>& line,
                                      const EpochView& view);

// How long a coordinator at `place` waits after it found the leader gone.
constexpr Duration turnDelay(size_t place) { return TURN_DELAY * static_cast<int64_t>(place); }

// Whether `view` names this contender on this session: what makes it the leader.
bool isOurs(const EpochView& view, const Guid& guid, int64_t session);

// Why a takeover from `before` happens: "first leader", "session of co1 ended".
std::string takeoverReason(const EpochView& before);

// "handed over by co1".
std::string handOverReason(const CoordinatorId& by);

// The record of the epoch after `before`, led by `leader` on `session`.
EpochView nextEpoch(const EpochView& before, const CandidateInfo& leader, int64_t session);

// By how much a takeover raises the version of the epoch's znode: as much as the epoch, at most
// VERSION_STEPS_MAX. More than one when ZooKeeper lost takeovers that somebody remembers: what they
// left out is not given again, neither as an epoch nor as a version, or a leader whose own takeover
// was lost would find the version that it checks.
constexpr size_t VERSION_STEPS_MAX = 1000;
size_t versionSteps(Epoch before, Epoch ours);

// One takeover: multi{set(epoch, v -> ours), delete(old leader's candidate, if there), check(own
// candidate)}. One winner, nothing in between, and every older leader is fenced at every znode. The
// epoch is set `steps` times, see versionSteps(); the last of these has the version to check.
// `oldCandidate` is empty when its session's end took it away.
std::vector<Op> takeoverOps(const Paths& paths, const EpochView& before, const ByteString& ours,
                            size_t steps, const std::string& ownCandidate,
                            const std::string& oldCandidate);

}  // namespace muster::failover
