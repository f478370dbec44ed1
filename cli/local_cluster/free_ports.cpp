#include "cli/local_cluster/free_ports.h"

#include <kj/debug.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <optional>
#include <sys/file.h>
#include <sys/socket.h>

namespace muster::cli {
namespace {

// A socket bound to `port` of 127.0.0.1 (0: any); nothing when it is taken.
std::optional<int> bindPort(uint16_t port) {
  int fd = -1;
  KJ_SYSCALL(fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int yes = 1;
  KJ_SYSCALL(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  kj::AutoCloseFd closed(fd);
  return std::nullopt;
}

uint16_t portOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  KJ_SYSCALL(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size));
  return ntohs(address.sin_port);
}

}  // namespace

bool isFree(uint16_t port) {
  auto fd = bindPort(port);
  if (fd) kj::AutoCloseFd closed(*fd);
  return fd.has_value();
}

// A file of everybody's, since users of one machine share its ports. Whoever cannot lock it does
// without the port.
FirstPortClaim::FirstPortClaim() {
  auto path = std::filesystem::temp_directory_path() / "muster-first-port.lock";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return;
  kj::AutoCloseFd opened(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) lock_ = kj::mv(opened);
}

uint16_t FreePorts::any() {
  auto fd = bindPort(0);
  KJ_REQUIRE(fd.has_value(), "this machine has no free port left");
  held_.emplace_back(*fd);
  return portOf(*fd);
}

uint16_t FreePorts::preferred(uint16_t port) {
  auto fd = bindPort(port);
  if (!fd) return any();
  held_.emplace_back(*fd);
  return port;
}

}  // namespace muster::cli
