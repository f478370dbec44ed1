// A unix socket's path may have 107 bytes and a data directory more: this names the socket through
// an open folder.
#pragma once

#include <kj/debug.h>
#include <kj/io.h>

#include <fcntl.h>
#include <string>

namespace muster {

// `path` holds as long as this object lives.
struct ShortSocketPath {
  kj::AutoCloseFd folder;
  std::string path;

  // `socketPath`: absolute, its folder exists. Throws FAILED when the folder cannot be opened.
  explicit ShortSocketPath(const std::string& socketPath) {
    auto slash = socketPath.rfind('/');
    KJ_REQUIRE(slash != std::string::npos, "a socket's path must be absolute", socketPath.c_str());
    std::string parent = socketPath.substr(0, slash);
    int fd = -1;
    KJ_SYSCALL(fd = ::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), parent.c_str());
    folder = kj::AutoCloseFd(fd);
    // "/." makes it the folder itself and not the link to it, which checks of the folder would stop
    // at.
    path = "/proc/self/fd/" + std::to_string(fd) + "/." + socketPath.substr(slash);
  }
};

}  // namespace muster
