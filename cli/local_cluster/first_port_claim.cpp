#include "cli/local_cluster/first_port_claim.h"

#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>

namespace muster::cli {

// A file of everybody's, since users of one machine share its ports. Whoever cannot lock it does
// without the port.
FirstPortClaim::FirstPortClaim() {
  auto path = std::filesystem::temp_directory_path() / "muster-first-port.lock";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return;
  kj::AutoCloseFd opened(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) lock_ = kj::mv(opened);
}

}  // namespace muster::cli
