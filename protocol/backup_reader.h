// Reads a backup file in pieces of any size and proves each frame before it shows what is in it.
#pragma once

#include "protocol/backup_format.h"

#include <functional>
#include <optional>

namespace muster {

class BackupReader {
 public:
  // Called for each entry of a frame that was proven.
  using Visit = std::function<void(BackupPart part, std::string_view key, std::string_view value)>;
  explicit BackupReader(Visit visit = [](BackupPart, std::string_view, std::string_view) {});

  // The next bytes of the file. Refuses INVALID_VALUE for what is no backup or a damaged one, and
  // NOT_SUPPORTED_YET for a newer format, with the place in the file; every later call refuses the
  // same.
  Result<Done> feed(std::string_view bytes);
  // The file is over. Refuses INVALID_VALUE when it is cut short or its sums are not those of what
  // it holds.
  Result<BackupEnd> finish();

  // Once the first frame was proven.
  const std::optional<BackupHeader>& header() const { return header_; }
  uint64_t bytesRead() const { return bytesRead_; }

 private:
  bool takePrefix();
  bool takeFrame();
  void takePayload(BackupPart part, const std::string& payload);
  void takeEntries(BackupPart part, std::string_view payload);
  void takeEnd(const std::string& payload);
  void count(BackupPart part, std::string_view key, std::string_view value);
  void refuse(RefusalCode code, const std::string& text);
  void damaged(const std::string& what);

  Visit visit_;
  std::string pending_;
  uint64_t bytesRead_ = 0;  // proven, or refused at
  bool hasPrefix_ = false;
  uint64_t place_ = 0;
  BackupPart newest_ = BackupPart::HEADER;
  std::string lastKey_;
  std::optional<BackupHeader> header_;
  BackupEnd seen_;
  std::optional<BackupEnd> end_;
  std::optional<Refusal> refused_;
  backup::RunningHash hash_;
};

// Reads a whole file through `reader`, a piece at a time. Refuses what the reader refuses,
// NOT_FOUND when there is no such file and INVALID_VALUE when it is no regular file. Blocks while
// the disk works.
Result<BackupEnd> readBackupFile(const std::string& path, BackupReader& reader);

}  // namespace muster
