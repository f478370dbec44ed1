#include "base/free_ports.h"

#include <kj/debug.h>

#include <arpa/inet.h>
#include <fstream>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>

namespace muster {
namespace {

constexpr uint16_t LOWEST = 10'000;
constexpr uint16_t LINUX_FIRST_EPHEMERAL = 32'768;
constexpr int TRIES = 1000;

// Servers may have a port again while old connections of it linger. But of sockets that all may,
// and none of which listens, several can be bound to one port: one that is to be ours alone is
// bound without.
enum class Lingering : uint8_t { TAKEN, FREE };

// A socket bound to `port` of 127.0.0.1 (0: any); nothing when it is taken.
std::optional<int> bindPort(uint16_t port, Lingering lingering, int type = SOCK_STREAM) {
  int fd = -1;
  KJ_SYSCALL(fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  int reuse = lingering == Lingering::FREE ? 1 : 0;
  KJ_SYSCALL(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse));
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

// The first port that the kernel gives by itself.
uint16_t firstEphemeral() {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  uint16_t first = 0;
  range >> first;
  return first > LOWEST + TRIES ? first : LINUX_FIRST_EPHEMERAL;
}

}  // namespace

bool isFree(uint16_t port) {
  auto fd = bindPort(port, Lingering::FREE);
  if (fd) kj::AutoCloseFd closed(*fd);
  return fd.has_value();
}

uint16_t FreePorts::any() {
  uint16_t span = firstEphemeral() - LOWEST;
  for (int i = 0; i < TRIES; i++) {
    auto port = static_cast<uint16_t>(LOWEST + random_.below(span));
    auto claimed = bindPort(port, Lingering::TAKEN, SOCK_DGRAM);
    if (!claimed) continue;
    kj::AutoCloseFd claim(*claimed);
    auto fd = bindPort(port, Lingering::TAKEN);
    if (!fd) continue;
    held_.emplace_back(*fd);
    claims_.push_back(kj::mv(claim));
    return port;
  }
  auto fd = bindPort(0, Lingering::TAKEN);
  KJ_REQUIRE(fd.has_value(), "this machine has no free port left");
  held_.emplace_back(*fd);
  claim(portOf(*fd));
  return portOf(*fd);
}

uint16_t FreePorts::preferred(uint16_t port) {
  auto fd = bindPort(port, Lingering::FREE);
  if (!fd) return any();
  held_.emplace_back(*fd);
  claim(port);
  return port;
}

void FreePorts::claim(uint16_t port) {
  auto fd = bindPort(port, Lingering::TAKEN, SOCK_DGRAM);
  if (fd) claims_.emplace_back(*fd);
}

std::vector<int> FreePorts::claims() const {
  std::vector<int> fds;
  fds.reserve(claims_.size());
  for (const auto& claim : claims_) fds.push_back(claim.get());
  return fds;
}

}  // namespace muster
