#include "coordinator/follower.h"

#include "base/planted_bug.h"
#include "coordinator/core/core.h"
#include "coordinator/driver.h"
#include "coordinator/leader_doubt.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::coordinator {

Follower::Follower(StateStore& store, CoordinatorFacts& facts, Logger logger)
    : store_(store), facts_(facts), logger_(kj::mv(logger)) {}

void Follower::open(const ClusterName& cluster, const HistoryId& history) {
  store_.claim(cluster, history);
  StoreMeta meta = *store_.meta();
  if (opened_ && !lent_ && position_ == meta.applied) return;
  load(history, meta);
}

void Follower::load(const HistoryId& history, const StoreMeta& meta) {
  std::vector<StoredRecord> records;
  store_.loadRecords([&](std::string_view key, std::string_view value) {
    records.push_back({std::string(key), std::string(value)});
  });
  auto failed = kj::runCatchingExceptions(
      [&] { state_ = records.empty() ? emptyState(history) : loadState(records); });
  KJ_IF_MAYBE (exception, failed) {
    damaged(std::string("the store holds a record that is none: ") +
            exception->getDescription().cStr());
  }
  if (state_.applied != meta.applied.index) {
    damaged("the store's records are of index " + std::to_string(state_.applied.value) +
            ", it says " + std::to_string(meta.applied.index.value));
  }
  start(meta.applied);
  logger_.info(
      "store loaded",
      {{"index", position_.index}, {"batch", position_.batch}, {"records", records.size()}});
}

void Follower::start(const LogPosition& position) {
  position_ = position;
  opened_ = true;
  lent_ = false;
  hashes_.clear();
  hashes_.emplace_back(state_.applied, state_.hash());
  facts_.appliedIndex = facts_.committedIndex = position_.index;
}

void Follower::damaged(std::string text) {
  damage_ = std::move(text);
  facts_.rebuilding = true;
  kj::throwFatalException(
      KJ_EXCEPTION(FAILED, "E0901 this coordinator's state is damaged", damage_->c_str()));
  KJ_UNREACHABLE;
}

void Follower::rebuild() {
  StoreMeta meta = *store_.meta();
  replayedTo_ = std::max(replayedTo_, meta.applied.index);
  logger_.warn("dropped the state to make it anew from the log",
               {{"why", damage_.value_or("")}, {"index", meta.applied.index}});
  store_.reset();
  state_ = emptyState(meta.history);
  start({});
  damage_.reset();
  facts_.rebuilding = true;
  facts_.rebuilds++;
}

State& Follower::lend() {
  lent_ = true;
  return state_;
}

void Follower::takeBack() {
  if (!lent_) return;
  StoreMeta meta = *store_.meta();
  if (MUSTER_PLANTED_BUG(MEMORY_KEPT)) {
    lent_ = false;
    position_ = meta.applied;
  }
  // With nothing in flight, as after a hand-over, the memory is what the store holds; to load a
  // million records would keep this loop, and all who wait for it, for seconds.
  if (state_.applied == meta.applied.index) return start(meta.applied);
  open(meta.cluster, meta.history);
}

void Follower::take(const failover::ReadBatch& read) {
  KJ_REQUIRE(opened_ && !lent_, "a follower must be open and not lent");
  BatchChanges changes;
  applyAll(read.batch, changes);
  compareHash(read.batch);
  StoreBatch write = changes.take(read.position);
  write.bytes = read.bytes;
  store_.write(write);
  position_ = read.position;
  facts_.appliedIndex = facts_.committedIndex = position_.index;
  facts_.appliedBatches++;
  facts_.logBytes += write.bytes.size();
  if (onEvents_ && !write.events.empty()) onEvents_(write.events);
}

void Follower::applyAll(const Batch& batch, BatchChanges& changes) {
  LogIndex index = batch.firstIndex;
  for (const ByteString& bytes : batch.commands) {
    Command command = decodeCommand(bytes);
    Applied applied = apply(state_, index, command);
    requireUnderstood(state_.schemaLevel, "the state");
    auto audit = auditEntry(index, command, applied);
    changes.add(std::move(applied));
    if (audit) changes.audit(std::move(*audit));
    hashes_.emplace_back(index, state_.hash());
    index = index.next();
  }
  while (hashes_.size() > HASHES_KEPT) hashes_.pop_front();
}

void Follower::compareHash(const Batch& batch) {
  if (!batch.stateHash) return;
  LogIndex at = batch.stateHash->index;
  auto known = std::lower_bound(hashes_.begin(), hashes_.end(), at,
                                [](const auto& entry, LogIndex i) { return entry.first < i; });
  if (known == hashes_.end() || known->first != at) return;
  bool differs = known->second != batch.stateHash->value;
  std::string text = "at index " + std::to_string(at.value) + " the log says " +
                     toText(batch.stateHash->value) + ", here it is " + toText(known->second);
  bool leaderIsWrong = at <= replayedTo_ || batch.epoch == distrusted_;
  if (differs && !leaderIsWrong) {
    replayedTo_ = at;
    damaged(text);
  }
  if (differs) {
    distrusted_ = batch.epoch;
    text += "; a replay of the whole log gives ours, so " + wordsAgainst(batch.epoch) +
            ". It hands over when a majority says so. Next, if it stays: muster admin step-down";
    if (facts_.alarms.raise(AlarmKind::LEADER_DIVERGED, text)) {
      logger_.error("alarm", {{"alarm", toText(AlarmKind::LEADER_DIVERGED)}, {"text", text}});
    }
  } else {
    facts_.alarms.clear(AlarmKind::LEADER_DIVERGED);
  }
}

}  // namespace muster::coordinator
