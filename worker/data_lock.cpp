#include "worker/data_lock.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>

namespace muster::worker {
namespace {

// Returns 0 or the errno of what failed.
int makeFolder(const std::string& path) {
  std::filesystem::path folder(path);
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (error) return error.value();
  return mkdir(path.c_str(), 0700) < 0 && errno != EEXIST ? errno : 0;
}

Refusal unusable(const std::string& path, int error) {
  auto code =
      error == ENOSPC || error == EDQUOT ? RefusalCode::DISK_FULL : RefusalCode::INVALID_VALUE;
  return {code, "the data directory " + path +
                    " cannot be used: " + std::generic_category().message(error)};
}

}  // namespace

Result<kj::AutoCloseFd> lockDataDirectory(const std::string& path) {
  if (int error = makeFolder(path); error != 0) return unusable(path, error);
  std::string file = path + "/lock";
  int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return unusable(path, errno);
  kj::AutoCloseFd lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return kj::mv(lock);
  if (errno != EWOULDBLOCK) return unusable(path, errno);
  return Refusal{RefusalCode::ALREADY_RUNNING,
                 "another muster-worker uses the data directory " + path};
}

}  // namespace muster::worker
