// What a coordinator keeps on its own disk, so that it need not read the whole log after a restart.
// The log in the coordination service is the truth: a store that lags, or that lost its newest
// batches, is caught up from there.
#pragma once

#include "base/ids.h"
#include "coordinator/core/event.h"
#include "coordinator/core/record.h"
#include "protocol/batch.h"
#include "protocol/command.h"

#include <kj/memory.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::coordinator {

// One request and what became of it. Commands that the leader decided by itself have no row.
struct AuditEntry {
  RequestId request;
  LogIndex index;
  std::string principal;
  std::string outcome;  // "accepted", or the code of the refusal: "E0301"
  bool operator==(const AuditEntry&) const = default;
};

// Everything one committed batch of the log changes. Written whole or not at all.
struct StoreBatch {
  LogPosition position;  // after the batch
  std::vector<RecordWrite> records;
  std::vector<Event> events;
  std::vector<AuditEntry> audit;
  ByteString bytes;  // of the batch as the log holds it; empty: not kept
};

// How many of the newest batches are kept as bytes, to be written again when the log loses them.
constexpr uint64_t BATCHES_KEPT = 1024;

// Whose store it is and how far it has come.
struct StoreMeta {
  ClusterName cluster;
  HistoryId history;
  LogPosition applied;
  // Events and audit rows from here on are in the store, or were never made. 1: all there ever
  // were.
  LogIndex historyFrom{1};
  bool operator==(const StoreMeta&) const = default;
};

// The store as it was after one batch, whatever is written to it afterwards. Cheap to make and to
// hold for some minutes; it must go before its store. Each call returns the next part; an empty one
// means that there is no more.
class StoreView {
 public:
  virtual ~StoreView() noexcept(false) = default;
  virtual const StoreMeta& meta() const = 0;
  // Records ascending by key, at least one, until keys and values together reach `bytesMax`.
  virtual std::vector<StoredRecord> nextRecords(Bytes bytesMax) = 0;
  // At most `countMax`, in log order.
  virtual std::vector<Event> nextEvents(size_t countMax) = 0;
  virtual std::vector<AuditEntry> nextAudit(size_t countMax) = 0;
};

// A whole new content for a store, handed over in parts. From its making on the store is unclaimed
// and holds nothing, also after a crash; dropped before finish() it stays so.
class StoreReplacement {
 public:
  virtual ~StoreReplacement() noexcept(false) = default;
  virtual void addRecords(const std::vector<StoredRecord>& records) = 0;
  virtual void addEvents(const std::vector<Event>& events) = 0;
  virtual void addAudit(const std::vector<AuditEntry>& rows) = 0;
  // The store is claimed and whole from here on, at `meta`. Called once, last.
  virtual void finish(const StoreMeta& meta) = 0;
};

// The store as the driver and the follower see it; RocksStore keeps it on disk, the simulation in
// memory. Calls are short and do not wait for the disk. A failure of the disk is an exception
// (FAILED) whose text starts with the code of its refusal: "E0707 disk full: ...".
class StateStore {
 public:
  virtual ~StateStore() noexcept(false) = default;

  // Nothing while the store is new and unclaimed.
  virtual std::optional<StoreMeta> meta() const = 0;
  // Makes a new store that of this cluster and history. Throws FAILED when it already belongs to
  // another one.
  virtual void claim(const ClusterName& cluster, const HistoryId& history) = 0;
  // Atomic. Requires a claimed store and a position behind the newest one.
  virtual void write(const StoreBatch& batch) = 0;

  // Drops records, events and audit rows: the next batch written is the first one. The bytes that
  // are kept stay, for they are the log's and not ours. Atomic. Requires a claimed store.
  virtual void reset() = 0;

  // A batch as the log holds it or held it, among the newest BATCHES_KEPT.
  virtual std::optional<ByteString> batchBytes(BatchNumber number) const = 0;

  // What is in the store now. Requires a claimed store.
  virtual kj::Own<StoreView> view() const = 0;
  // Drops everything, whatever cluster and history it was of, to be filled anew. Nothing else may
  // be written meanwhile.
  virtual kj::Own<StoreReplacement> replaceAll() = 0;

  // All records, ascending by key.
  virtual void loadRecords(
      std::function<void(std::string_view key, std::string_view value)> visit) const = 0;
  // Events after `after`, oldest first, the newest `countMax` of them.
  virtual std::vector<Event> events(LogIndex after, size_t countMax) const = 0;
  // All audit rows in log order.
  virtual void loadAudit(std::function<void(const AuditEntry&)> visit) const = 0;
};

// Throws FAILED unless `meta` is of this cluster and history, naming both.
void requireSameHistory(const StoreMeta& meta, const ClusterName& cluster,
                        const HistoryId& history);

}  // namespace muster::coordinator
