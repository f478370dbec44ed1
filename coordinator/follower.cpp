#include "coordinator/follower.h"

#include "coordinator/core/core.h"
#include "coordinator/driver.h"
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
  std::vector<StoredRecord> records;
  store_.loadRecords([&](std::string_view key, std::string_view value) {
    records.push_back({std::string(key), std::string(value)});
  });
  state_ = records.empty() ? emptyState(history) : loadState(records);
  KJ_REQUIRE(state_.applied == meta.applied.index,
             "E0901 the store is damaged: its records are of another index", state_.applied.value,
             meta.applied.index.value);
  position_ = meta.applied;
  opened_ = true;
  lent_ = false;
  hashes_.clear();
  hashes_.emplace_back(state_.applied, state_.hash());
  facts_.appliedIndex = facts_.committedIndex = position_.index;
  logger_.info(
      "store loaded",
      {{"index", position_.index}, {"batch", position_.batch}, {"records", records.size()}});
}

State& Follower::lend() {
  lent_ = true;
  return state_;
}

void Follower::takeBack() {
  if (!lent_) return;
  StoreMeta meta = *store_.meta();
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

void Follower::compareHash(const Batch& batch) const {
  if (!batch.stateHash) return;
  auto known =
      std::lower_bound(hashes_.begin(), hashes_.end(), batch.stateHash->index,
                       [](const auto& entry, LogIndex index) { return entry.first < index; });
  if (known == hashes_.end() || known->first != batch.stateHash->index) return;
  KJ_REQUIRE(
      known->second == batch.stateHash->value,
      "E0901 this coordinator's state differs from the leader's; it stops so that nobody reads it",
      batch.stateHash->index.value, toText(known->second).c_str(),
      toText(batch.stateHash->value).c_str());
}

}  // namespace muster::coordinator
