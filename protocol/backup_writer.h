// Makes the bytes of a backup file, piece by piece, so that nobody holds it whole.
#pragma once

#include "protocol/backup_format.h"

namespace muster {

class BackupWriter {
 public:
  explicit BackupWriter(const BackupHeader& header);

  // Parts in the order of BackupPart; records by ascending key. Not HEADER and not END.
  void add(BackupPart part, std::string_view key, std::string_view value);
  // Ends the file. Nothing is added afterwards.
  void finish();

  // What is ready of the file and was not taken yet; whole frames, in order.
  std::string take();
  size_t readyBytes() const { return ready_.size(); }

  // Of what was added so far.
  const BackupEnd& end() const { return end_; }

 private:
  void closeFrame();
  void emit(BackupPart part, std::string_view payload);

  std::string ready_;
  std::string payload_;
  BackupPart open_ = BackupPart::HEADER;
  uint64_t place_ = 0;
  BackupEnd end_;
  backup::RunningHash hash_;
};

}  // namespace muster
