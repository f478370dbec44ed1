#include "tests/support/free_ports.h"

#include <kj/debug.h>
#include <kj/io.h>

#include <arpa/inet.h>
#include <fstream>
#include <random>
#include <sys/socket.h>

namespace muster::support {
namespace {

constexpr uint16_t LOWEST = 10'000;

// The first port that the kernel gives by itself.
uint16_t firstEphemeral() {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  uint16_t first = 0;
  range >> first;
  return first > LOWEST + 1000 ? first : 32'768;
}

// Takes the port until the holder goes; nothing when somebody has it.
kj::Maybe<kj::AutoCloseFd> hold(uint16_t port) {
  int fd = -1;
  KJ_SYSCALL(fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd holder(fd);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return nullptr;
  return kj::mv(holder);
}

}  // namespace

std::vector<uint16_t> freePorts(size_t count) {
  std::random_device random;
  std::uniform_int_distribution<uint16_t> any(LOWEST, firstEphemeral() - 1);
  std::vector<kj::AutoCloseFd> held;  // all at once, so that they differ
  std::vector<uint16_t> ports;
  while (ports.size() < count) {
    uint16_t port = any(random);
    KJ_IF_MAYBE (holder, hold(port)) {
      held.push_back(kj::mv(*holder));
      ports.push_back(port);
    }
  }
  return ports;
}

}  // namespace muster::support
