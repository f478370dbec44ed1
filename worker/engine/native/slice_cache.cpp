#include "worker/engine/native/slice_cache.h"

#include <kj/io.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <errno.h>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* LOCK = "lock";
constexpr uint64_t CHECKSUM_BYTES = sizeof(uint64_t);  // behind the bytes of a slice

// False at the end of the file and for any error.
bool readAll(int fd, void* to, uint64_t bytes) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    ssize_t got = ::read(fd, at, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<uint64_t>(got);
  }
  return true;
}

bool writeAll(int fd, const void* from, uint64_t bytes) {
  const auto* at = static_cast<const char*>(from);
  while (bytes > 0) {
    ssize_t put = ::write(fd, at, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    bytes -= static_cast<uint64_t>(put);
  }
  return true;
}

struct Kept {
  fs::path path;
  fs::file_time_type used;
  uint64_t bytes = 0;
};

// Oldest first. Others may remove files meanwhile.
std::vector<Kept> keptIn(const std::string& folder) {
  std::vector<Kept> kept;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename() == LOCK) continue;
    Kept one{entry.path(), entry.last_write_time(error), 0};
    if (!error) one.bytes = entry.file_size(error);
    if (!error) kept.push_back(std::move(one));
  }
  std::sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) {
    return std::tie(a.used, a.path) < std::tie(b.used, b.path);
  });
  return kept;
}

}  // namespace

SliceCache::SliceCache(std::string folder, Bytes most) : folder_(std::move(folder)), most_(most) {
  std::error_code error;
  fs::create_directories(fs::path(folder_).parent_path(), error);
  ::mkdir(folder_.c_str(), 0700);
  struct stat status {};
  // Below a folder that all may write to, somebody else could have made it.
  isOurs_ = ::lstat(folder_.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
            status.st_uid == ::geteuid() && ::chmod(folder_.c_str(), 0700) == 0;
}

// Everything that says which bytes of which model they are.
std::string SliceCache::pathOf(const std::string& manifestDigest,
                               const sharding::Slice& slice) const {
  std::string key = manifestDigest + "\n" + slice.file + "\n" + toText(slice.dtype);
  for (uint64_t number : {slice.offset, slice.rows, slice.rowBytes, slice.stride}) {
    key += "\n" + std::to_string(number);
  }
  XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return folder_ + "/" + checksumText(hash.high64) + checksumText(hash.low64);
}

bool SliceCache::find(const std::string& manifestDigest, LoadedSlice& slice) const {
  if (!isOurs_) return false;
  std::string path = pathOf(manifestDigest, slice.slice);
  int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (opened < 0) return false;
  kj::AutoCloseFd fd(opened);
  AlignedBytes bytes(slice.slice.bytes);
  uint64_t checksum = 0;
  bool isWhole = readAll(fd, bytes.data(), bytes.size()) &&
                 readAll(fd, &checksum, CHECKSUM_BYTES) &&
                 XXH3_64bits(bytes.data(), bytes.size()) == checksum;
  if (!isWhole) {
    ::unlink(path.c_str());
    return false;
  }
  ::futimens(fd, nullptr);  // used now
  slice.bytes = std::move(bytes);
  slice.checksum = checksum;
  return true;
}

bool SliceCache::makeRoom(uint64_t bytes) const {
  if (bytes > most_.count) return false;
  std::vector<Kept> kept = keptIn(folder_);
  uint64_t total = bytes;
  for (const Kept& one : kept) total += one.bytes;
  for (const Kept& one : kept) {
    if (total <= most_.count) break;
    if (::unlink(one.path.c_str()) == 0) total -= one.bytes;
  }
  return total <= most_.count;
}

// Under a lock, so that two ranks do not take the same room. The new name appears when all is
// there.
void SliceCache::keep(const std::string& manifestDigest, const LoadedSlice& slice) const {
  if (!isOurs_) return;
  int locked = ::open((folder_ + "/" + LOCK).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (locked < 0) return;
  kj::AutoCloseFd lock(locked);
  if (::flock(lock, LOCK_EX) != 0 || !makeRoom(slice.bytes.size() + CHECKSUM_BYTES)) return;
  std::string path = pathOf(manifestDigest, slice.slice);
  std::string fresh = path + ".new";
  int opened = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (opened < 0) return;
  kj::AutoCloseFd fd(opened);
  bool isWritten = writeAll(fd, slice.bytes.data(), slice.bytes.size()) &&
                   writeAll(fd, &slice.checksum, CHECKSUM_BYTES) &&
                   ::rename(fresh.c_str(), path.c_str()) == 0;
  if (!isWritten) ::unlink(fresh.c_str());
}

}  // namespace muster::worker
