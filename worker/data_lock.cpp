#include "worker/data_lock.h"

#include <kj/debug.h>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>

namespace muster::worker {
namespace {

void makeFolder(const std::string& path) {
  std::filesystem::path folder(path);
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  KJ_REQUIRE(!error, "the folder cannot be made", path.c_str(), error.message().c_str());
  if (mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) {
    KJ_FAIL_SYSCALL("mkdir(path)", errno, path.c_str());
  }
}

}  // namespace

Result<kj::AutoCloseFd> lockDataDirectory(const std::string& path) {
  makeFolder(path);
  std::string file = path + "/lock";
  int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) KJ_FAIL_SYSCALL("open(file)", errno, file.c_str());
  kj::AutoCloseFd lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return kj::mv(lock);
  if (errno != EWOULDBLOCK) KJ_FAIL_SYSCALL("flock(file)", errno, file.c_str());
  return Refusal{RefusalCode::ALREADY_RUNNING,
                 "another muster-worker uses the data directory " + path};
}

}  // namespace muster::worker
