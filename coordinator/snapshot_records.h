// Records as the payloads of a snapshot's chunks, and back.
#pragma once

#include "coordinator/state_store.h"

#include <optional>
#include <vector>

namespace muster::coordinator {

ByteString encodeRecords(const std::vector<StoredRecord>& records);
// Throws FAILED for bytes that are no records.
std::vector<StoredRecord> decodeRecords(const ByteString& payload);

// Counts records and adds up their hashes: over all records this is the state's hash.
class RecordSum {
 public:
  void add(const std::vector<StoredRecord>& records);
  uint64_t count() const { return count_; }
  Guid hash() const { return hash_; }

 private:
  uint64_t count_ = 0;
  Guid hash_;
};

// Cuts the records of a view into payloads of at most `bytesMax` each, unless a single record is
// larger.
class PayloadCutter {
 public:
  PayloadCutter(StoreView& view, Bytes bytesMax) : view_(view), bytesMax_(bytesMax) {}

  // Nothing after the last.
  std::optional<ByteString> next();
  // Of all records that were given out.
  const RecordSum& sum() const { return sum_; }

 private:
  StoreView& view_;
  Bytes bytesMax_;
  std::vector<StoredRecord> pending_;
  RecordSum sum_;
};

}  // namespace muster::coordinator
