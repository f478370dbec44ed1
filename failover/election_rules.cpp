#include "failover/election_rules.h"

#include "base/planted_bug.h"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace muster::failover {
namespace {

constexpr size_t GUID_DIGITS = 32;

template <class Number>
bool readWhole(std::string_view text, Number& value, int base) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<CandidateName> parseCandidateName(std::string_view name) {
  constexpr size_t GUID_BEGIN = 2;
  constexpr size_t DASH = GUID_BEGIN + GUID_DIGITS;
  if (name.size() < DASH + 2 || name.substr(0, GUID_BEGIN) != "c-" || name[DASH] != '-')
    return std::nullopt;
  CandidateName result;
  result.name = name;
  bool whole = readWhole(name.substr(GUID_BEGIN, 16), result.guid.high, 16) &&
               readWhole(name.substr(GUID_BEGIN + 16, 16), result.guid.low, 16) &&
               readWhole(name.substr(DASH + 1), result.sequence, 10);
  if (!whole) return std::nullopt;
  return result;
}

std::vector<CandidateName> lineOf(const std::vector<std::string>& names,
                                  const std::vector<std::string>& ignored) {
  std::vector<CandidateName> line;
  for (const std::string& name : names) {
    auto candidate = parseCandidateName(name);
    if (candidate && std::find(ignored.begin(), ignored.end(), name) == ignored.end()) {
      line.push_back(*std::move(candidate));
    }
  }
  std::sort(line.begin(), line.end(), [](const CandidateName& a, const CandidateName& b) {
    return std::tie(a.sequence, a.guid) < std::tie(b.sequence, b.guid);
  });
  return line;
}

std::optional<size_t> placeOf(const std::vector<CandidateName>& line, const std::string& own) {
  auto found =
      std::find_if(line.begin(), line.end(), [&](const CandidateName& c) { return c.name == own; });
  if (found == line.end()) return std::nullopt;
  return static_cast<size_t>(found - line.begin());
}

std::optional<size_t> placeBehind(std::vector<CandidateName> line,
                                  const std::optional<CandidateName>& leader,
                                  const std::string& own) {
  if (leader) std::erase(line, *leader);
  return placeOf(line, own);
}

std::optional<CandidateName> leaderIn(const std::vector<CandidateName>& line,
                                      const EpochView& view) {
  if (view.leaderGuid.isNull()) return std::nullopt;
  auto found = std::find_if(line.begin(), line.end(),
                            [&](const CandidateName& c) { return c.guid == view.leaderGuid; });
  if (found == line.end()) return std::nullopt;
  return *found;
}

bool isOurs(const EpochView& view, const Guid& guid, int64_t session) {
  return !guid.isNull() && view.leaderGuid == guid && view.leaderSession == session;
}

std::string takeoverReason(const EpochView& before) {
  return before.leader.value.empty() ? "first leader"
                                     : "session of " + before.leader.value + " ended";
}

std::string handOverReason(const CoordinatorId& by) {
  return by.value.empty() ? "handed over" : "handed over by " + by.value;
}

EpochView nextEpoch(const EpochView& before, const CandidateInfo& leader, int64_t session) {
  EpochView next;
  next.history = before.history;
  next.epoch = before.epoch.next();
  next.leader = leader.coordinator;
  next.leaderAddress = leader.rpcAddress;
  next.leaderGuid = leader.guid;
  next.leaderSession = session;
  return next;
}

size_t versionSteps(Epoch before, Epoch ours) {
  return std::clamp<size_t>(ours.value - before.value, 1, VERSION_STEPS_MAX);
}

std::vector<Op> takeoverOps(const Paths& paths, const EpochView& before, const ByteString& ours,
                            size_t steps, const std::string& ownCandidate,
                            const std::string& oldCandidate) {
  std::vector<Op> ops;
  bool unchecked = MUSTER_PLANTED_BUG(UNCHECKED_TAKEOVER);
  for (size_t i = 0; i < steps; i++) {
    int32_t version = before.version + static_cast<int32_t>(i);
    ops.push_back(setOp(paths.epoch(), ours, unchecked ? ANY_VERSION : version));
  }
  if (!oldCandidate.empty()) ops.push_back(removeOp(oldCandidate));
  ops.push_back(checkOp(ownCandidate));
  return ops;
}

}  // namespace muster::failover
