#include "worker/collective/tcp_exchange.h"

#include "worker/collective/collective.h"

#include <algorithm>
#include <cstring>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

namespace muster::worker {

TcpExchange::TcpExchange(TcpMesh& mesh, const Membership& group, Operation operation, TcpWait wait)
    : mesh_(mesh), group_(group), operation_(operation), wait_(wait) {
  transfers_.reserve(size_t{2} * group.size());
}

void TcpExchange::send(uint32_t member, TcpFrame frame, std::span<const std::byte> bytes) {
  transfers_.push_back({.member = member,
                        .connection = mesh_.connectionTo(group_.ranks[member]),
                        .sending = true,
                        .frame = frame,
                        // Only read from: an iovec knows no const.
                        .data = const_cast<std::byte*>(bytes.data()),
                        .bytes = bytes.size()});
}

void TcpExchange::receive(uint32_t member, TcpFrame expected, std::span<std::byte> bytes) {
  transfers_.push_back({.member = member,
                        .connection = mesh_.connectionTo(group_.ranks[member]),
                        .expected = expected,
                        .data = bytes.data(),
                        .bytes = bytes.size()});
}

void TcpExchange::run() {
  uint32_t looks = 0;
  for (;;) {
    if (mesh_.broken()) throw CollectiveBroken(mesh_.whyBroken());
    bool moved = progressAll();
    if (transfers_.empty()) return;
    if (moved) {
      looks = 0;
    } else if (++looks > wait_.spins) {
      sleep();
    }
  }
}

// True when a byte moved. Those that are through leave the list.
bool TcpExchange::progressAll() {
  bool moved = false;
  for (auto& transfer : transfers_) moved = progress(transfer) || moved;
  std::erase_if(transfers_, [](const Transfer& one) { return one.complete(); });
  return moved;
}

int TcpExchange::remaining(Transfer& transfer, struct iovec* pieces) const {
  int count = 0;
  if (transfer.done < sizeof(TcpFrame)) {
    pieces[count++] = {reinterpret_cast<std::byte*>(&transfer.frame) + transfer.done,
                       sizeof(TcpFrame) - transfer.done};
  }
  uint64_t of = transfer.done - std::min<uint64_t>(transfer.done, sizeof(TcpFrame));
  if (of < transfer.bytes) pieces[count++] = {transfer.data + of, transfer.bytes - of};
  return count;
}

bool TcpExchange::progress(Transfer& transfer) {
  struct iovec pieces[2];
  struct msghdr message {};
  message.msg_iov = pieces;
  message.msg_iovlen = static_cast<size_t>(remaining(transfer, pieces));
  constexpr int FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
  ssize_t count = transfer.sending ? ::sendmsg(transfer.connection, &message, FLAGS)
                                   : ::recvmsg(transfer.connection, &message, FLAGS);
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
    breakUp("the connection to " + group_.rankName(transfer.member) +
            " broke: " + std::strerror(errno));
  }
  if (count == 0) breakUp(group_.rankName(transfer.member) + " closed its connection");
  bool hadFrame = transfer.done >= sizeof(TcpFrame);
  transfer.done += static_cast<uint64_t>(count);
  if (!transfer.sending && !hadFrame && transfer.done >= sizeof(TcpFrame)) checkFrame(transfer);
  return true;
}

void TcpExchange::checkFrame(const Transfer& transfer) {
  if (transfer.frame == transfer.expected) return;
  breakUp(group_.rankName(transfer.member) + " sent something else than its part of " +
          toText(operation_));
}

void TcpExchange::sleep() {
  std::vector<struct pollfd> waits{{.fd = mesh_.brokenEvent(), .events = POLLIN, .revents = 0}};
  for (const auto& transfer : transfers_) {
    short events = transfer.sending ? POLLOUT : POLLIN;
    waits.push_back({.fd = transfer.connection, .events = events, .revents = 0});
  }
  Duration left = wait_.until - wait_.clock.steadyNow();
  if (left.nanos <= 0) {
    std::vector<uint32_t> missing;
    for (const auto& transfer : transfers_) missing.push_back(transfer.member);
    std::sort(missing.begin(), missing.end());
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
    breakUp(lateText(group_, operation_, missing));
  }
  // Rounded up, so that the last wait does not become a spin.
  ::poll(waits.data(), waits.size(),
         static_cast<int>(std::min<int64_t>(left.millis() + 1, 60'000)));
}

void TcpExchange::breakUp(const std::string& why) {
  mesh_.breakUp(why.starts_with(group_.name) ? why : group_.name + ": " + why);
  throw CollectiveBroken(mesh_.whyBroken());
}

}  // namespace muster::worker
