#include "protocol/backup_reader.h"

#include "protocol/record_hash.h"

#include <kj/io.h>

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace muster {

using namespace backup;  // NOLINT(google-build-using-namespace): the format's own pieces

namespace {

constexpr size_t READ_PIECE = 256 * 1024;

// One entry's key or value off the front of `bytes`; nothing when it does not fit.
std::optional<std::string_view> takeText(std::string_view& bytes) {
  if (bytes.size() < 4) return std::nullopt;
  size_t length = readNumber(bytes, 4);
  bytes.remove_prefix(4);
  if (length > bytes.size()) return std::nullopt;
  std::string_view text = bytes.substr(0, length);
  bytes.remove_prefix(length);
  return text;
}

}  // namespace

BackupReader::BackupReader(Visit visit) : visit_(std::move(visit)) {}

void BackupReader::refuse(RefusalCode code, const std::string& text) {
  if (!refused_) refused_ = Refusal{code, text, {}, {"take another backup file"}};
}

void BackupReader::damaged(const std::string& what) {
  refuse(RefusalCode::INVALID_VALUE,
         "the backup is damaged at byte " + std::to_string(bytesRead_) + ": " + what);
}

Result<Done> BackupReader::feed(std::string_view bytes) {
  if (refused_) return *refused_;
  pending_.append(bytes);
  if (hasPrefix_ || takePrefix()) {
    while (!refused_ && takeFrame()) {
    }
  }
  if (refused_) return *refused_;
  return Done{};
}

Result<BackupEnd> BackupReader::finish() {
  if (!refused_ && !hasPrefix_) {
    refuse(RefusalCode::INVALID_VALUE,
           "this is no backup: it has only " + std::to_string(pending_.size()) + " bytes");
  }
  if (!refused_ && !end_) damaged("it is cut short");
  if (refused_) return *refused_;
  return *end_;
}

bool BackupReader::takePrefix() {
  if (pending_.size() < PREFIX_BYTES) return false;
  std::string_view prefix = std::string_view(pending_).substr(0, PREFIX_BYTES);
  uint64_t version = readNumber(prefix.substr(MAGIC.size()), 4);
  if (!prefix.starts_with(MAGIC)) {
    refuse(RefusalCode::INVALID_VALUE, "this is no backup of Muster");
  } else if (version > BACKUP_FORMAT_VERSION) {
    refuse(RefusalCode::NOT_SUPPORTED_YET, "the backup is of format " + std::to_string(version) +
                                               ", this version knows up to " +
                                               std::to_string(BACKUP_FORMAT_VERSION) +
                                               "; restore it with the version that made it");
  } else if (version == 0 || readNumber(prefix.substr(12), 4) != 0) {
    damaged("its first bytes are not those of a backup");
  }
  if (refused_) return false;
  hash_.add(prefix);
  pending_.erase(0, PREFIX_BYTES);
  bytesRead_ += PREFIX_BYTES;
  hasPrefix_ = true;
  return true;
}

// One whole frame off what is pending; false when there is none yet.
bool BackupReader::takeFrame() {
  if (pending_.empty()) return false;
  if (end_) {
    damaged("there is more behind its end");
    return false;
  }
  if (pending_.size() < FRAME_HEAD_BYTES) return false;
  std::string_view head = std::string_view(pending_).substr(0, FRAME_HEAD_BYTES);
  auto part = static_cast<uint32_t>(readNumber(head, 4));
  size_t length = readNumber(head.substr(4), 4);
  if (length > PAYLOAD_MAX) {
    damaged("a frame of " + std::to_string(length) + " bytes");
    return false;
  }
  if (pending_.size() < FRAME_HEAD_BYTES + length) return false;
  std::string payload = pending_.substr(FRAME_HEAD_BYTES, length);
  if (hashOfFrame(place_, part, payload) != readNumber(head.substr(8), 8)) {
    damaged("frame " + std::to_string(place_) + " is not what was written");
    return false;
  }
  takePayload(static_cast<BackupPart>(part), payload);
  if (refused_) return false;
  hash_.add(std::string_view(pending_).substr(0, FRAME_HEAD_BYTES + length));
  pending_.erase(0, FRAME_HEAD_BYTES + length);
  bytesRead_ += FRAME_HEAD_BYTES + length;
  place_++;
  return true;
}

void BackupReader::takePayload(BackupPart part, const std::string& payload) {
  bool isFirst = place_ == 0;
  if (part < newest_ || part > BackupPart::END || isFirst != (part == BackupPart::HEADER)) {
    damaged("a frame of part " + std::to_string(static_cast<uint32_t>(part)) + " is out of place");
    return;
  }
  newest_ = part;
  if (part != BackupPart::HEADER && part != BackupPart::END) {
    takeEntries(part, payload);
    return;
  }
  auto failed = kj::runCatchingExceptions([&] {
    if (part == BackupPart::HEADER) header_ = decodeHeader(payload);
    if (part == BackupPart::END) takeEnd(payload);
  });
  KJ_IF_MAYBE (exception, failed) damaged(exception->getDescription().cStr());
}

void BackupReader::takeEntries(BackupPart part, std::string_view payload) {
  while (!payload.empty() && !refused_) {
    auto key = takeText(payload);
    auto value = key ? takeText(payload) : std::nullopt;
    if (!value) {
      damaged("an entry is longer than its frame");
      return;
    }
    count(part, *key, *value);
    if (!refused_) visit_(part, *key, *value);
  }
}

void BackupReader::count(BackupPart part, std::string_view key, std::string_view value) {
  if (part == BackupPart::EVENTS) seen_.counts.events++;
  if (part == BackupPart::AUDIT) seen_.counts.auditRows++;
  if (part != BackupPart::RECORDS) return;
  if (seen_.counts.records > 0 && key <= lastKey_) {
    damaged("its records are not in order");
    return;
  }
  lastKey_ = key;
  seen_.counts.records++;
  seen_.stateHash = addToHash(seen_.stateHash, hashOfRecord(key, value));
}

void BackupReader::takeEnd(const std::string& payload) {
  BackupEnd end = decodeEnd(payload);
  seen_.fileHash = hash_.value();
  if (end != seen_) {
    damaged("its end tells of other contents: state hash " + toText(end.stateHash) + ", read " +
            toText(seen_.stateHash));
    return;
  }
  end_ = end;
}

Result<BackupEnd> readBackupFile(const std::string& path, BackupReader& reader) {
  int rawFd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (rawFd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return Refusal{RefusalCode::NOT_FOUND, "no file " + path};
  }
  KJ_REQUIRE(rawFd >= 0, "file error", path.c_str(),
             std::generic_category().message(errno).c_str());
  kj::AutoCloseFd fd(rawFd);
  struct stat info {};
  KJ_SYSCALL(fstat(fd, &info), path.c_str());
  if (!S_ISREG(info.st_mode)) {
    return Refusal{RefusalCode::INVALID_VALUE, path + " is not a regular file"};
  }
  std::string piece;
  for (;;) {
    piece.resize(READ_PIECE);
    ssize_t got = 0;
    KJ_SYSCALL(got = read(fd, piece.data(), piece.size()), path.c_str());
    if (got == 0) return reader.finish();
    auto fed = reader.feed(std::string_view(piece).substr(0, static_cast<size_t>(got)));
    if (!fed) return fed.refusal();
  }
}

}  // namespace muster
