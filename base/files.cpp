#include "base/files.h"

#include <kj/io.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace muster {
namespace {

[[noreturn]] void fail(const char* action, const std::string& path, int error) {
  KJ_FAIL_REQUIRE("file error", action, path.c_str(),
                  std::generic_category().message(error).c_str());
}

// Either the refusal of a full disk or an exception: what a failed write means.
Refusal diskFullOrThrow(const char* action, const std::string& path, int error) {
  if (error != ENOSPC && error != EDQUOT && error != EFBIG) fail(action, path, error);
  return Refusal{RefusalCode::DISK_FULL,
                 "cannot write " + path + ": " + std::generic_category().message(error),
                 {},
                 {"df -h " + path.substr(0, path.find_last_of('/') + 1)}};
}

std::string folderOf(const std::string& path) {
  auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Returns 0 or the errno of the first write that failed.
int writeAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

// Removes the temporary file unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target) : name_(target + ".XXXXXX") {
    int fd = mkostemp(name_.data(), O_CLOEXEC);
    error_ = fd < 0 ? errno : 0;
    if (fd >= 0) fd_ = kj::AutoCloseFd(fd);
  }
  ~TemporaryFile() {
    if (fd_ != nullptr && !renamed_) unlink(name_.c_str());
  }
  KJ_DISALLOW_COPY(TemporaryFile);

  // Each step returns 0 or errno.
  int error() const { return error_; }
  int setMode(mode_t mode) { return fchmod(fd_, mode) == 0 ? 0 : errno; }
  int append(std::string_view bytes) { return writeAll(fd_, bytes); }
  int sync() { return fsync(fd_) == 0 ? 0 : errno; }
  int nameIt(const std::string& target, IfThere ifThere) {
    if (ifThere == IfThere::REFUSE) return linkTo(target);
    if (rename(name_.c_str(), target.c_str()) != 0) return errno;
    renamed_ = true;
    return 0;
  }

 private:
  // Unlike a rename it fails when there is such a name; the destructor removes our own.
  int linkTo(const std::string& target) {
    return link(name_.c_str(), target.c_str()) == 0 ? 0 : errno;
  }

  std::string name_;
  kj::AutoCloseFd fd_;
  int error_ = 0;
  bool renamed_ = false;
};

int syncFolder(const std::string& folder) {
  kj::AutoCloseFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return errno;
  // Some file systems cannot flush a directory and say so; there the rename is as durable as it
  // gets.
  return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

class NamedLater final : public NewFile {
 public:
  explicit NamedLater(const std::string& path) : path_(path), file_(path) {}
  int begin(mode_t mode) { return file_.error() != 0 ? file_.error() : file_.setMode(mode); }

  Result<Done> append(std::string_view bytes) override {
    int error = file_.append(bytes);
    if (error != 0) return diskFullOrThrow("write", path_, error);
    return Done{};
  }

  Result<Done> finish(IfThere ifThere) override {
    int error = file_.sync();
    if (error != 0) return diskFullOrThrow("write", path_, error);
    error = file_.nameIt(path_, ifThere);
    if (error == EEXIST) {
      return Refusal{RefusalCode::INVALID_VALUE, "there is a file " + path_ + " already"};
    }
    if (error == 0) error = syncFolder(folderOf(path_));
    if (error != 0) return diskFullOrThrow("name the new file", path_, error);
    return Done{};
  }

 private:
  std::string path_;
  TemporaryFile file_;
};

}  // namespace

Result<std::string> readFile(const std::string& path, Bytes limit) {
  int rawFd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (rawFd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return Refusal{RefusalCode::NOT_FOUND, "no file " + path};
  }
  if (rawFd < 0) fail("open", path, errno);
  kj::AutoCloseFd fd(rawFd);
  struct stat info {};
  if (fstat(fd, &info) != 0) fail("stat", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Refusal{RefusalCode::INVALID_VALUE, path + " is not a regular file"};
  }
  // One byte more than the limit tells a file that is too large, even one that grows while it is
  // read.
  std::string content;
  size_t most = limit.count + 1;
  for (;;) {
    size_t before = content.size();
    content.resize(std::min(most, std::max(before * 2, static_cast<size_t>(info.st_size) + 1)));
    if (content.size() == before) break;
    ssize_t got = read(fd, content.data() + before, content.size() - before);
    content.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got < 0 && errno != EINTR) fail("read", path, errno);
    if (got == 0) break;
  }
  if (content.size() > limit.count) {
    return Refusal{RefusalCode::TOO_LARGE, path + " is larger than " + toText(limit)};
  }
  return content;
}

Result<Done> writeFileAtomically(const std::string& path, std::string_view bytes, mode_t mode) {
  TemporaryFile file(path);
  if (file.error() != 0) return diskFullOrThrow("create a file beside", path, file.error());
  int error = file.setMode(mode);
  if (error == 0) error = file.append(bytes);
  if (error == 0) error = file.sync();
  if (error != 0) return diskFullOrThrow("write", path, error);
  error = file.nameIt(path, IfThere::REPLACE);
  if (error != 0) return diskFullOrThrow("replace", path, error);
  error = syncFolder(folderOf(path));
  if (error != 0) return diskFullOrThrow("flush the folder of", path, error);
  return Done{};
}

Result<kj::Own<NewFile>> NewFile::begin(const std::string& path, mode_t mode) {
  auto file = kj::heap<NamedLater>(path);
  int error = file->begin(mode);
  if (error != 0) return diskFullOrThrow("create a file beside", path, error);
  return kj::Own<NewFile>(kj::mv(file));
}

}  // namespace muster
