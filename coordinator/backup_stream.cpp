#include "coordinator/backup_stream.h"

#include "coordinator/store_format.h"

namespace muster::coordinator {
namespace {

constexpr Bytes RECORDS_AT_ONCE = 64_KiB;
constexpr size_t ROWS_AT_ONCE = 500;
constexpr size_t READY_ENOUGH = 256 * 1024;

BackupHeader headerOf(const StoreMeta& meta, const BackupStream::Origin& origin) {
  BackupHeader header;
  header.cluster = meta.cluster;
  header.history = meta.history;
  header.position = meta.applied;
  header.historyFrom = meta.historyFrom;
  header.schemaLevel = origin.schemaLevel;
  header.coordinator = origin.coordinator;
  header.version = origin.version;
  header.madeAt = origin.now;
  return header;
}

}  // namespace

BackupStream::BackupStream(kj::Own<StoreView> view, const Origin& origin)
    : view_(kj::mv(view)), header_(headerOf(view_->meta(), origin)), writer_(header_) {}

std::string BackupStream::next() {
  while (phase_ != Phase::OVER && writer_.readyBytes() < READY_ENOUGH) read();
  return writer_.take();
}

void BackupStream::read() {
  switch (phase_) {
    case Phase::RECORDS:
      return readRecords();
    case Phase::EVENTS:
      return readEvents();
    case Phase::AUDIT:
      return readAudit();
    case Phase::OVER:
      return;
  }
}

void BackupStream::readRecords() {
  auto records = view_->nextRecords(RECORDS_AT_ONCE);
  for (const StoredRecord& record : records) {
    writer_.add(BackupPart::RECORDS, record.key, record.value);
  }
  if (records.empty()) phase_ = Phase::EVENTS;
}

void BackupStream::readEvents() {
  auto events = view_->nextEvents(ROWS_AT_ONCE);
  for (const Event& event : events) {
    writer_.add(BackupPart::EVENTS, eventKey(event.index, event.ordinal), encodeEvent(event));
  }
  if (events.empty()) phase_ = Phase::AUDIT;
}

void BackupStream::readAudit() {
  auto rows = view_->nextAudit(ROWS_AT_ONCE);
  for (const AuditEntry& row : rows) {
    writer_.add(BackupPart::AUDIT, auditKey(row.index), encodeAudit(row));
  }
  if (!rows.empty()) return;
  writer_.finish();
  phase_ = Phase::OVER;
}

}  // namespace muster::coordinator
