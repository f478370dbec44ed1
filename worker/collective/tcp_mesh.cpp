#include "worker/collective/tcp_mesh.h"

#include <kj/debug.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <utility>

namespace muster::worker {
namespace {

kj::AutoCloseFd makeEvent() {
  int fd = -1;
  KJ_SYSCALL(fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return kj::AutoCloseFd(fd);
}

// A decode step is a chain of small messages, each waited for: none may be held back.
void prepare(int connection) {
  int on = 1;
  ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // no TCP in some tests
  int flags = 0;
  KJ_SYSCALL(flags = ::fcntl(connection, F_GETFL));
  KJ_SYSCALL(::fcntl(connection, F_SETFL, flags | O_NONBLOCK));
}

}  // namespace

TcpMesh::TcpMesh(std::map<RankNumber, kj::AutoCloseFd> connections)
    : connections_(std::move(connections)), event_(makeEvent()) {
  for (const auto& [rank, connection] : connections_) prepare(connection);
}

void TcpMesh::breakUp(const std::string& why) {
  std::lock_guard lock(mutex_);
  if (broken_) return;
  why_ = why;
  broken_.store(true, std::memory_order_release);
  ::eventfd_write(event_, 1);
  for (const auto& [rank, connection] : connections_) ::shutdown(connection, SHUT_RDWR);
}

std::string TcpMesh::whyBroken() const {
  std::lock_guard lock(mutex_);
  return why_;
}

}  // namespace muster::worker
