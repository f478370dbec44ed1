#include "tests/sim/sim_worker_parts.h"

#include <algorithm>
#include <set>

namespace muster::sim {
namespace {

std::string textOf(const RankRef& ref) {
  return "rank " + std::to_string(ref.deployment.value) + "/" + std::to_string(ref.replica.value) +
         " generation " + std::to_string(ref.generation.value) + " #" +
         std::to_string(ref.rank.value);
}

}  // namespace

// ---- the meeting of a gang

void RankMeeting::look(const RankRef& member, uint32_t worldSize) {
  std::vector<std::pair<RankSite*, RankRef>> present;
  for (uint32_t i = 0; i < worldSize; i++) {
    RankRef ref = member;
    ref.rank = {i};
    auto site = std::ranges::find_if(sites_, [&](RankSite* s) { return s->waitsFor(ref); });
    if (site == sites_.end()) return;
    present.emplace_back(*site, ref);
  }
  for (auto& [site, ref] : present) site->becomeReady(ref);
}

// ---- the ranks of a machine

RankSite::RankSite(World& world, RankMeeting& meeting, Host& host, NodeInfo node)
    : world_(world),
      meeting_(meeting),
      host_(host),
      node_(std::move(node)),
      random_(world.fork("ranks of " + node_.name.value)) {
  meeting_.add(*this);
}

Duration RankSite::draw(Duration min, Duration max) {
  return min + Duration{static_cast<int64_t>(
                   random_.below(static_cast<uint64_t>((max - min).nanos) + 1))};
}

void RankSite::obey(std::vector<Assignment> assignments) {
  std::set<RankRef> wanted;
  for (const Assignment& assignment : assignments) wanted.insert(assignment.ref);
  std::vector<RankRef> gone;
  for (auto& [ref, rank] : ranks_) {
    if (wanted.contains(ref)) continue;
    if (rank.report.pid == 0) gone.push_back(ref);
    stop(rank);
  }
  for (const RankRef& ref : gone) ranks_.erase(ref);
  for (const Assignment& assignment : assignments) {
    auto known = ranks_.find(assignment.ref);
    if (known == ranks_.end()) {
      start(assignment);
    } else {
      known->second.assignment = assignment;  // where its group meets, perhaps
      meeting_.look(assignment.ref, assignment.worldSize);
    }
  }
  changed();
}

void RankSite::restore(std::vector<Assignment> assignments) {
  for (const Assignment& assignment : assignments) {
    if (ranks_.contains(assignment.ref)) continue;
    Rank& rank = ranks_[assignment.ref];
    rank.assignment = assignment;
    rank.report.ref = assignment.ref;
    fail(rank, "its process is gone");
  }
  obey(std::move(assignments));
}

void RankSite::fail(Rank& rank, std::string error) {
  rank.life = nextLife_++;
  rank.report.phase = ReplicaPhase::FAILED;
  rank.report.reason = Reason::RANK_CRASHED;
  rank.report.firstError = std::move(error);
  rank.report.pid = 0;
}

void RankSite::start(const Assignment& assignment) {
  world_.note(node_.name.value + " starts " + textOf(assignment.ref));
  Rank& rank = ranks_[assignment.ref];
  rank.assignment = assignment;
  rank.life = nextLife_++;
  rank.report.ref = assignment.ref;
  rank.report.phase = ReplicaPhase::LOADING;
  rank.report.pid = nextPid_++;
  rank.report.processStartTime = static_cast<uint64_t>(world_.now().nanos);
  if (assignment.ref.rank.value == 0) {
    rank.report.rendezvous = node_.address + ":" + std::to_string(10'000 + rank.report.pid);
  }
  world_.after(draw(50_ms, 1500_ms),
               [this, ref = assignment.ref, life = rank.life] { loaded(ref, life); });
}

void RankSite::stop(Rank& rank) {
  if (rank.stopping || rank.report.pid == 0) return;
  rank.stopping = true;
  world_.note(node_.name.value + " stops " + textOf(rank.report.ref));
  rank.report.phase = ReplicaPhase::DRAINING;
  world_.after(draw(5_ms, 800_ms),
               [this, ref = rank.report.ref, life = rank.life] { ended(ref, life); });
}

void RankSite::loaded(const RankRef& ref, uint64_t life) {
  auto found = ranks_.find(ref);
  if (found == ranks_.end() || found->second.life != life) return;
  Rank& rank = found->second;
  if (rank.report.phase != ReplicaPhase::LOADING) return;
  rank.report.phase = ReplicaPhase::JOINING;
  changed();
  meeting_.look(ref, rank.assignment.worldSize);
}

bool RankSite::waitsFor(const RankRef& member) const {
  auto found = ranks_.find(member);
  if (found == ranks_.end()) return false;
  const Rank& rank = found->second;
  bool knowsWhere = member.rank.value == 0 || !rank.assignment.rendezvous.empty();
  return rank.report.phase == ReplicaPhase::JOINING && knowsWhere;
}

void RankSite::becomeReady(const RankRef& member) {
  Rank& rank = ranks_.at(member);
  rank.report.phase = ReplicaPhase::READY;
  world_.note(node_.name.value + " has ready " + textOf(member));
  changed();
}

void RankSite::ended(const RankRef& ref, uint64_t life) {
  auto found = ranks_.find(ref);
  if (found == ranks_.end() || found->second.life != life) return;
  ranks_.erase(found);
  changed();
}

bool RankSite::crashOne(uint64_t choice) {
  std::vector<RankRef> running;
  for (const auto& [ref, rank] : ranks_) {
    if (rank.report.pid != 0 && !rank.stopping) running.push_back(ref);
  }
  if (running.empty()) return false;
  RankRef ref = running[choice % running.size()];
  Rank& rank = ranks_.at(ref);
  world_.note(node_.name.value + " loses " + textOf(ref));
  fail(rank, "killed by the simulation");
  changed();
  return true;
}

void RankSite::losePower() { ranks_.clear(); }

std::vector<RankReport> RankSite::reports() const {
  std::vector<RankReport> reports;
  for (const auto& [ref, rank] : ranks_) reports.push_back(rank.report);
  return reports;
}

// The agent hears of it inside its own host.
void RankSite::changed() {
  if (!host_.isUp()) return;
  world_.at(world_.now() + Duration{1'000}, host_, [this] {
    if (changes_ != nullptr) changes_->fire();
  });
}

// ---- orders

Result<Done> SimOrderStore::save(const worker::StoredOrders& orders) {
  auto before = inner_.load();
  if (before && (orders.token < before->token || orders.order.stamp < before->order.stamp)) {
    world_.violated("a worker obeys only what is newer",
                    node_ + " took an order or a token older than the one it had");
  }
  return inner_.save(orders);
}

}  // namespace muster::sim
