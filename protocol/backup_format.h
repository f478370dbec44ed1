// A backup: the state of a cluster at the end of one batch, its events and its audit, as one file
// of checked frames.
//
//   8 bytes   "MUSTERBK"
//   uint32    format version; a reader refuses a higher one
//   uint32    0
//   frames    uint32 part, uint32 bytes of the payload, uint64 XXH3-64 of the payload (seeded with
//             the frame's place and part, so that no frame passes for another), payload
//
// All numbers are little-endian. The first frame is the header and the last one the end
// (backup.capnp); between them stand entries: uint32 length, key, uint32 length, value. Records
// come by ascending key, then events, then audit rows, each as the store has them. The sums are
// against damage, not against forgery: whoever may restore a backup is trusted with it.
#pragma once

#include "base/result.h"
#include "protocol/batch.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace muster {

constexpr uint32_t BACKUP_FORMAT_VERSION = 1;

enum class BackupPart : uint32_t { HEADER = 1, RECORDS = 2, EVENTS = 3, AUDIT = 4, END = 5 };

struct BackupHeader {
  ClusterName cluster;
  HistoryId history;
  LogPosition position;  // the state is as after this batch
  LogIndex historyFrom;  // events and audit rows from here on are in it
  uint32_t schemaLevel = 1;
  CoordinatorId coordinator;  // whose store it was read from
  std::string version;        // of that coordinator
  WallTime madeAt;
  bool operator==(const BackupHeader&) const = default;
};

struct BackupCounts {
  uint64_t records = 0;
  uint64_t events = 0;
  uint64_t auditRows = 0;
  bool operator==(const BackupCounts&) const = default;
};

struct BackupEnd {
  BackupCounts counts;
  Guid stateHash;
  Guid fileHash;  // of every byte before the end's frame
  bool operator==(const BackupEnd&) const = default;
};

// Pieces of the format that writer and reader share.
namespace backup {

constexpr std::string_view MAGIC = "MUSTERBK";
constexpr size_t PREFIX_BYTES = 16;
constexpr size_t FRAME_HEAD_BYTES = 16;
constexpr size_t PAYLOAD_TARGET = 256 * 1024;
constexpr size_t PAYLOAD_MAX = 16 * 1024 * 1024;  // more is damage

std::string encodeHeader(const BackupHeader& header);
std::string encodeEnd(const BackupEnd& end);
BackupHeader decodeHeader(const std::string& bytes);  // throws FAILED for what is none
BackupEnd decodeEnd(const std::string& bytes);        // as above

uint64_t hashOfFrame(uint64_t place, uint32_t part, std::string_view payload);
void appendNumber(std::string& out, uint64_t value, int bytes);
uint64_t readNumber(std::string_view bytes, int count);  // of at least `count` bytes

// XXH3-128 of bytes that come in pieces.
class RunningHash {
 public:
  RunningHash();
  ~RunningHash() noexcept;
  RunningHash(const RunningHash&) = delete;
  RunningHash& operator=(const RunningHash&) = delete;
  void add(std::string_view bytes);
  Guid value() const;

 private:
  void* state_;  // XXH3_state_t
};

}  // namespace backup

}  // namespace muster
