#include "coordinator/rocks_store.h"

#include "coordinator/store_format.h"

#include <kj/debug.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/table_properties.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <memory>

namespace muster::coordinator {
namespace {

constexpr const char* META_KEY = "meta";
const std::string BEYOND_ALL_KEYS(4096, '\xff');  // longer than any key of a family

enum Family { DEFAULT, RECORDS, META, HISTORY, AUDIT, BATCHES, FAMILY_COUNT };
constexpr const char* FAMILY_NAMES[] = {"default", "records", "meta",
                                        "history", "audit",   "batches"};

// A full disk, a quota that is used up, or a limit on the size of files: the same to whoever has to
// act.
bool isFull(const rocksdb::Status& status) {
  std::string text = status.ToString();
  auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  return status.IsNoSpace() || says("No space left") || says("quota exceeded") ||
         says("File too large");
}

bool isLocked(const rocksdb::Status& status) {
  return status.IsIOError() && status.ToString().find("lock") != std::string::npos;
}

bool isMissing(const rocksdb::Status& status) {
  return status.IsIOError() && status.ToString().find("No such file") != std::string::npos;
}

void rocksCheck(const rocksdb::Status& status, const char* what, const std::string& folder) {
  if (status.ok()) return;
  std::string text = status.ToString();
  auto fail = [&](const char* complaint) {
    KJ_FAIL_REQUIRE(kj::str(complaint, ": ", folder.c_str(), ": ", what, ": ", text.c_str()));
  };
  if (isFull(status)) {
    fail("E0707 disk full: the store cannot be written; free space and start again");
  }
  if (isLocked(status)) fail("E0710 another process has this store open");
  if (isMissing(status)) fail("E0304 there is no store");
  fail("E0901 the store failed");
}

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view bytesOf(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

// RocksDB's log of its own doings is not written: its writer aborts the process when the disk is
// full.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Options dbOptions() {
  rocksdb::Options options;
  options.info_log = std::make_shared<NoLog>();
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_total_wal_size = 64 << 20;
  // What was torn off the end of the write-ahead log is in the replicated log; damage in its middle
  // is not ignored.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  return options;
}

}  // namespace

struct RocksStore::Impl {
  std::string folder;
  uint64_t keptEvents;
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  std::optional<StoreMeta> meta;

  Impl(const std::string& folder, StoreAccess access, uint64_t keptEvents)
      : folder(folder), keptEvents(keptEvents) {
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const char* name : FAMILY_NAMES) {
      descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    rocksdb::DB* raw = nullptr;
    rocksdb::Status status =
        access == StoreAccess::READ_ONLY
            ? rocksdb::DB::OpenForReadOnly(readOnlyOptions(), folder, descriptors, &families, &raw)
            : rocksdb::DB::Open(dbOptions(), folder, descriptors, &families, &raw);
    db.reset(raw);
    rocksCheck(status, "open", folder);
    readMeta();
  }
  ~Impl() noexcept(false) {
    for (auto* family : families) static_cast<void>(db->DestroyColumnFamilyHandle(family));
    if (db) static_cast<void>(db->Close());
  }
  KJ_DISALLOW_COPY(Impl);

  static rocksdb::Options readOnlyOptions() {
    rocksdb::Options options;
    options.create_if_missing = false;
    return options;
  }

  void readMeta() {
    std::string bytes;
    auto status = db->Get(rocksdb::ReadOptions(), families[META], META_KEY, &bytes);
    if (status.IsNotFound()) return;
    rocksCheck(status, "read the meta record", folder);
    meta = decodeMeta(bytes);
  }

  void commit(rocksdb::WriteBatch& writes, const StoreMeta& next, const char* what) {
    std::string bytes = encodeMeta(next);
    rocksCheck(writes.Put(families[META], META_KEY, bytes), what, folder);
    rocksdb::WriteOptions options;
    options.sync = false;
    rocksCheck(db->Write(options, &writes), what, folder);
    meta = next;
  }

  void keep(rocksdb::WriteBatch& writes, BatchNumber number, const ByteString& bytes) {
    rocksCheck(writes.Put(families[BATCHES], batchKey(number), bytes), "keep a batch", folder);
    if (number.value <= BATCHES_KEPT) return;
    BatchNumber old{number.value - BATCHES_KEPT};
    rocksCheck(writes.Delete(families[BATCHES], batchKey(old)), "drop an old batch", folder);
  }

  // Into `writes`: an empty store that nobody claimed.
  void erase(rocksdb::WriteBatch& writes) {
    for (Family family : {RECORDS, HISTORY, AUDIT}) {
      rocksCheck(writes.DeleteRange(families[family], "", BEYOND_ALL_KEYS), "erase", folder);
    }
    rocksCheck(writes.Delete(families[META], META_KEY), "erase", folder);
  }

  void put(rocksdb::WriteBatch& writes, const Event& event) {
    rocksCheck(
        writes.Put(families[HISTORY], eventKey(event.index, event.ordinal), encodeEvent(event)),
        "write an event", folder);
  }
  void put(rocksdb::WriteBatch& writes, const AuditEntry& entry) {
    rocksCheck(writes.Put(families[AUDIT], auditKey(entry.index), encodeAudit(entry)),
               "write an audit row", folder);
  }

  // Now and then: a range costs the same whether it is large or small.
  void dropOld(rocksdb::WriteBatch& writes, StoreMeta& next) {
    uint64_t index = next.applied.index.value;
    if (index <= keptEvents) return;
    uint64_t from = index - keptEvents;
    if (from < next.historyFrom.value + keptEvents / 10 + 1) return;
    for (Family family : {HISTORY, AUDIT}) {
      rocksCheck(writes.DeleteRange(families[family], "", auditKey({from})), "drop old rows",
                 folder);
    }
    next.historyFrom = {from};
  }

  // Without `snapshot`: of what is there now.
  std::unique_ptr<rocksdb::Iterator> iterate(Family family,
                                             const rocksdb::Snapshot* snapshot = nullptr) const {
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    options.snapshot = snapshot;
    return std::unique_ptr<rocksdb::Iterator>(db->NewIterator(options, families[family]));
  }
};

RocksStore::RocksStore(const std::string& folder, StoreAccess access, uint64_t keptEvents)
    : impl_(kj::heap<Impl>(folder, access, keptEvents)) {}
RocksStore::~RocksStore() noexcept(false) = default;

std::optional<StoreMeta> RocksStore::meta() const { return impl_->meta; }

void RocksStore::claim(const ClusterName& cluster, const HistoryId& history) {
  if (impl_->meta) {
    requireSameHistory(*impl_->meta, cluster, history);
    return;
  }
  rocksdb::WriteBatch writes;
  impl_->erase(writes);  // what a replacement that was not finished has left
  impl_->commit(writes, StoreMeta{cluster, history, {}}, "claim");
}

void RocksStore::write(const StoreBatch& batch) {
  KJ_REQUIRE(impl_->meta.has_value(), "a store must be claimed before it is written");
  KJ_REQUIRE(batch.position.batch > impl_->meta->applied.batch, "the store has this batch",
             batch.position.batch.value, impl_->meta->applied.batch.value);
  rocksdb::WriteBatch writes;
  auto& families = impl_->families;
  for (const RecordWrite& record : batch.records) {
    auto status = record.value
                      ? writes.Put(families[RECORDS], slice(record.key), slice(*record.value))
                      : writes.Delete(families[RECORDS], slice(record.key));
    rocksCheck(status, "write a record", impl_->folder);
  }
  for (const Event& event : batch.events) impl_->put(writes, event);
  for (const AuditEntry& entry : batch.audit) impl_->put(writes, entry);
  if (!batch.bytes.empty()) impl_->keep(writes, batch.position.batch, batch.bytes);
  StoreMeta next = *impl_->meta;
  next.applied = batch.position;
  impl_->dropOld(writes, next);
  impl_->commit(writes, next, "write a batch");
}

void RocksStore::reset() {
  KJ_REQUIRE(impl_->meta.has_value(), "a store must be claimed before it is reset");
  rocksdb::WriteBatch writes;
  impl_->erase(writes);
  impl_->commit(writes, StoreMeta{impl_->meta->cluster, impl_->meta->history, {}}, "reset");
}

std::optional<ByteString> RocksStore::batchBytes(BatchNumber number) const {
  std::string bytes;
  auto status =
      impl_->db->Get(rocksdb::ReadOptions(), impl_->families[BATCHES], batchKey(number), &bytes);
  if (status.IsNotFound()) return std::nullopt;
  rocksCheck(status, "read a kept batch", impl_->folder);
  return bytes;
}
class RocksStore::View final : public StoreView {
 public:
  explicit View(const Impl& impl)
      : folder_(impl.folder),
        meta_(*impl.meta),
        snapshot_(impl.db.get()),
        records_(impl.iterate(RECORDS, snapshot_.snapshot())),
        events_(impl.iterate(HISTORY, snapshot_.snapshot())),
        audit_(impl.iterate(AUDIT, snapshot_.snapshot())) {
    for (auto* iterator : {records_.get(), events_.get(), audit_.get()}) iterator->SeekToFirst();
  }

  const StoreMeta& meta() const override { return meta_; }

  std::vector<StoredRecord> nextRecords(Bytes bytesMax) override {
    std::vector<StoredRecord> found;
    for (uint64_t bytes = 0; bytes < bytesMax.count && records_->Valid(); records_->Next()) {
      bytes += records_->key().size() + records_->value().size();
      found.push_back({records_->key().ToString(), records_->value().ToString()});
    }
    rocksCheck(records_->status(), "read the records", folder_);
    return found;
  }
  std::vector<Event> nextEvents(size_t countMax) override {
    return next<Event>(*events_, countMax, decodeEvent);
  }
  std::vector<AuditEntry> nextAudit(size_t countMax) override {
    return next<AuditEntry>(*audit_, countMax, decodeAudit);
  }

 private:
  template <class T>
  std::vector<T> next(rocksdb::Iterator& iterator, size_t countMax, T (*decode)(std::string_view)) {
    std::vector<T> found;
    for (; found.size() < countMax && iterator.Valid(); iterator.Next()) {
      found.push_back(decode(bytesOf(iterator.value())));
    }
    rocksCheck(iterator.status(), "read the history", folder_);
    return found;
  }

  std::string folder_;
  StoreMeta meta_;
  rocksdb::ManagedSnapshot snapshot_;
  std::unique_ptr<rocksdb::Iterator> records_;
  std::unique_ptr<rocksdb::Iterator> events_;
  std::unique_ptr<rocksdb::Iterator> audit_;
};

class RocksStore::Replacement final : public StoreReplacement {
 public:
  explicit Replacement(Impl& impl) : impl_(impl) {
    rocksdb::WriteBatch writes;
    impl_.erase(writes);
    apply(writes);
    impl_.meta.reset();
  }

  void addRecords(const std::vector<StoredRecord>& records) override {
    rocksdb::WriteBatch writes;
    for (const StoredRecord& record : records) {
      rocksCheck(writes.Put(impl_.families[RECORDS], record.key, record.value), "write a record",
                 impl_.folder);
    }
    apply(writes);
  }
  void addEvents(const std::vector<Event>& events) override {
    rocksdb::WriteBatch writes;
    for (const Event& event : events) impl_.put(writes, event);
    apply(writes);
  }
  void addAudit(const std::vector<AuditEntry>& rows) override {
    rocksdb::WriteBatch writes;
    for (const AuditEntry& row : rows) impl_.put(writes, row);
    apply(writes);
  }
  void finish(const StoreMeta& meta) override {
    KJ_REQUIRE(!impl_.meta, "a store that is being replaced was claimed meanwhile");
    rocksdb::WriteBatch writes;
    impl_.commit(writes, meta, "finish a replacement");
  }

 private:
  void apply(rocksdb::WriteBatch& writes) {
    rocksCheck(impl_.db->Write(rocksdb::WriteOptions(), &writes), "replace", impl_.folder);
  }
  Impl& impl_;
};

kj::Own<StoreView> RocksStore::view() const {
  KJ_REQUIRE(impl_->meta.has_value(), "a store must be claimed before it is viewed");
  return kj::heap<View>(*impl_);
}

kj::Own<StoreReplacement> RocksStore::replaceAll() { return kj::heap<Replacement>(*impl_); }

void RocksStore::loadRecords(
    std::function<void(std::string_view key, std::string_view value)> visit) const {
  auto iterator = impl_->iterate(RECORDS);
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    visit(bytesOf(iterator->key()), bytesOf(iterator->value()));
  }
  rocksCheck(iterator->status(), "read the records", impl_->folder);
}

std::vector<Event> RocksStore::events(LogIndex after, size_t countMax) const {
  std::vector<Event> newestFirst;
  std::string bound = eventKey(after.next(), 0);
  auto iterator = impl_->iterate(HISTORY);
  for (iterator->SeekToLast(); iterator->Valid() && newestFirst.size() < countMax;
       iterator->Prev()) {
    if (iterator->key().compare(bound) < 0) break;
    newestFirst.push_back(decodeEvent(bytesOf(iterator->value())));
  }
  rocksCheck(iterator->status(), "read the events", impl_->folder);
  std::reverse(newestFirst.begin(), newestFirst.end());
  return newestFirst;
}

HistoryPart RocksStore::history(LogIndex from, LogIndex before) const {
  KJ_REQUIRE(impl_->meta.has_value() && from >= impl_->meta->historyFrom,
             "a part of the history that is not here", from.value);
  HistoryPart part{from, before, {}, {}};
  std::string first = auditKey(from);
  std::string end = auditKey(before);
  auto visit = [&](Family family, auto take) {
    auto iterator = impl_->iterate(family);
    for (iterator->Seek(first); iterator->Valid() && iterator->key().compare(end) < 0;
         iterator->Next()) {
      take(bytesOf(iterator->value()));
    }
    rocksCheck(iterator->status(), "read a part of the history", impl_->folder);
  };
  visit(HISTORY, [&](std::string_view bytes) { part.events.push_back(decodeEvent(bytes)); });
  visit(AUDIT, [&](std::string_view bytes) { part.audit.push_back(decodeAudit(bytes)); });
  return part;
}

void RocksStore::addOlder(const HistoryPart& part) {
  KJ_REQUIRE(impl_->meta.has_value() && part.before == impl_->meta->historyFrom,
             "a part that does not end where the history begins", part.before.value);
  rocksdb::WriteBatch writes;
  rocksCheck(writes.DeleteRange(impl_->families[HISTORY], auditKey({part.before.value - 1}),
                                auditKey(part.before)),
             "drop the mark", impl_->folder);
  for (const Event& event : part.events) impl_->put(writes, event);
  for (const AuditEntry& row : part.audit) impl_->put(writes, row);
  StoreMeta next = *impl_->meta;
  next.historyFrom = part.from;
  impl_->commit(writes, next, "add older history");
}

Bytes RocksStore::recordBytes() const {
  rocksdb::TablePropertiesCollection tables;
  auto* family = impl_->families[RECORDS];
  rocksCheck(impl_->db->GetPropertiesOfAllTables(family, &tables), "read the sizes", impl_->folder);
  uint64_t bytes = 0;
  impl_->db->GetIntProperty(family, rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes);
  for (const auto& [name, table] : tables) bytes += table->raw_key_size + table->raw_value_size;
  return {bytes};
}

void RocksStore::loadAudit(std::function<void(const AuditEntry&)> visit) const {
  auto iterator = impl_->iterate(AUDIT);
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    visit(decodeAudit(bytesOf(iterator->value())));
  }
  rocksCheck(iterator->status(), "read the audit rows", impl_->folder);
}

}  // namespace muster::coordinator
