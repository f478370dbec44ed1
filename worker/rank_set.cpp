#include "worker/rank_set.h"

#include "base/tasks.h"
#include "worker/output_tail.h"

#include <kj/debug.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

class RankSet final : public Ranks {
 public:
  RankSet(RankEnvironment& environment, std::string dataDir)
      : environment_(environment), folders_(std::move(dataDir)), tasks_("stopping a rank") {}

  void restore(std::vector<Assignment> assignments) override {
    takeOverFolders();
    for (const auto& assignment : assignments) {
      if (entries_.count(assignment.ref) != 0) continue;
      RankUnit* predecessor = livePredecessor(assignment);
      if (predecessor != nullptr) continue;  // obey() lets it go on
      couldNotBegin(assignment.ref, {.code = RefusalCode::RANK_CRASHED,
                                     .text = "its process was gone when the agent came back"});
    }
    obey(std::move(assignments));
  }

  void obey(std::vector<Assignment> assignments) override {
    for (auto& assignment : assignments) advance(assignment);
    std::set<RankRef> wanted;
    for (auto& assignment : assignments) wanted.insert(assignment.ref);
    for (auto& [ref, entry] : entries_) {
      if (wanted.count(ref) == 0) stop(ref, entry);
    }
    for (auto& assignment : assignments) start(assignment);
  }

  std::vector<RankReport> reports() const override {
    std::vector<RankReport> reports;
    for (const auto& [ref, entry] : entries_) reports.push_back(entry.report());
    return reports;
  }

  kj::Promise<void> changed() override {
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiting_.push_back(kj::mv(paf.fulfiller));
    return kj::mv(paf.promise);
  }

  kj::Promise<RankLog> readLog(RankRef ref, uint32_t linesMax) override {
    RankLog log;
    auto entry = entries_.find(ref);
    if (entry != entries_.end()) log.firstError = entry->second.report().firstError;
    auto output = folders_.outputOf(ref);
    log.found = entry != entries_.end() || output.has_value();
    if (output) log.lines = lastLines(*output, linesMax);
    return log;
  }

 private:
  // A rank with its unit, or the report of one that could not even begin.
  struct Entry {
    kj::Own<RankUnit> unit;
    RankReport other;  // while there is no unit
    // It begins once the same rank of an earlier generation is gone from this node.
    std::optional<Assignment> waiting;
    bool stopping = false;
    const RankReport& report() const { return unit.get() != nullptr ? unit->report() : other; }
  };
  using Entries = std::map<RankRef, Entry>;

  // Brings back what an earlier agent left.
  void takeOverFolders() {
    for (const auto& folder : folders_.list()) {
      auto assignment = folder.loadAssignment();
      if (!assignment) {
        environment_.log.warn("a rank's folder without an assignment is removed",
                              {{"folder", folder.path()}});
        folders_.retire(folder);
        continue;
      }
      begin(folder, std::move(*assignment));
    }
  }

  static bool isPredecessor(const RankRef& earlier, const RankRef& ref) {
    return earlier.deployment == ref.deployment && earlier.replica == ref.replica &&
           earlier.rank == ref.rank && earlier.generation < ref.generation;
  }
  Entries::iterator findPredecessor(const RankRef& ref) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entries::value_type& entry) {
      return isPredecessor(entry.first, ref);
    });
  }
  // A process that can go on as this assignment.
  RankUnit* livePredecessor(const Assignment& assignment) {
    for (auto& [ref, entry] : entries_) {
      bool isLive = isPredecessor(ref, assignment.ref) && entry.unit.get() != nullptr &&
                    entry.unit->canAdvance(assignment);
      if (isLive) return entry.unit.get();
    }
    return nullptr;
  }

  // Lets a process of an earlier generation go on. When its folder cannot follow, it is stopped and
  // another one started, as if it could not.
  void advance(const Assignment& assignment) {
    if (entries_.count(assignment.ref) != 0) return;
    RankUnit* unit = livePredecessor(assignment);
    if (unit == nullptr) return;
    auto folder = folders_.passOn(unit->folder(), assignment);
    if (!folder) {
      environment_.log.warn("a rank cannot go on", {{"why", folder.refusal().text}});
      return;
    }
    auto node = entries_.extract(unit->report().ref);
    node.key() = assignment.ref;
    entries_.insert(std::move(node));
    unit->advance(std::move(*folder), assignment);
  }

  void start(const Assignment& assignment) {
    auto present = entries_.find(assignment.ref);
    if (present != entries_.end()) {
      if (present->second.waiting) present->second.waiting = assignment;
      if (present->second.unit.get() != nullptr) present->second.unit->meet(assignment.rendezvous);
      return;
    }
    if (findPredecessor(assignment.ref) != entries_.end()) return wait(assignment);
    create(assignment);
  }

  // Two processes of one rank would need its memory twice.
  void wait(const Assignment& assignment) {
    auto& entry = entries_[assignment.ref];
    entry.waiting = assignment;
    entry.other = {.ref = assignment.ref,
                   .phase = ReplicaPhase::PENDING,
                   .message = "an earlier process of this rank is still ending"};
    tellChange();
  }

  void beginWaiting() {
    std::vector<Assignment> ready;
    for (auto& [ref, entry] : entries_) {
      bool free = entry.waiting && !entry.stopping && findPredecessor(ref) == entries_.end();
      if (free) ready.push_back(*entry.waiting);
    }
    for (const auto& assignment : ready) {
      entries_.erase(assignment.ref);
      create(assignment);
    }
  }

  void create(const Assignment& assignment) {
    auto folder = folders_.create(assignment.ref);
    if (!folder) return couldNotBegin(assignment.ref, folder.refusal());
    auto saved = folder->saveAssignment(assignment);
    if (!saved) return couldNotBegin(assignment.ref, saved.refusal());
    begin(*folder, assignment);
  }

  void begin(const RankFolder& folder, Assignment assignment) {
    RankRef ref = assignment.ref;
    auto make = assignment.engine.kind == EngineKind::NATIVE ? &makeNativeUnit : &makeProcessUnit;
    auto& entry = entries_[ref];
    entry.unit = make(environment_, folder, std::move(assignment), [this] { tellChange(); });
    entry.unit->begin();
    tellChange();
  }

  void couldNotBegin(RankRef ref, const Refusal& refusal) {
    auto& entry = entries_[ref];
    entry.other = {.ref = ref,
                   .phase = ReplicaPhase::FAILED,
                   .reason = Reason::RANK_CRASHED,
                   .message = refusal.text,
                   .firstError = toText(refusal.code) + ": " + refusal.text};
    tellChange();
  }

  void stop(RankRef ref, Entry& entry) {
    if (entry.stopping) return;
    entry.stopping = true;
    kj::Promise<void> stopped = kj::READY_NOW;
    if (entry.unit.get() != nullptr) stopped = entry.unit->stop();
    // One turn later: the unit's own promise may stand above us, and must not be destroyed from
    // inside.
    tasks_.add(stopped.then([this, ref] { return kj::evalLater([this, ref] { forget(ref); }); }));
  }

  void forget(RankRef ref) {
    auto entry = entries_.find(ref);
    if (entry == entries_.end()) return;
    if (entry->second.unit.get() != nullptr) folders_.retire(entry->second.unit->folder());
    entries_.erase(entry);
    beginWaiting();
    tellChange();
  }

  void tellChange() {
    auto waiting = kj::mv(waiting_);
    waiting_.clear();
    for (auto& fulfiller : waiting) fulfiller->fulfill();
  }

  RankEnvironment& environment_;
  RankFolders folders_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  Entries entries_;
  Tasks tasks_;
};

}  // namespace

kj::Own<Ranks> makeRanks(RankEnvironment& environment, std::string dataDir) {
  return kj::heap<RankSet>(environment, std::move(dataDir));
}

}  // namespace muster::worker
