#include "base/service_manager.h"

#include "base/co.h"
#include "base/kj_time.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace muster {
namespace {

constexpr Duration STATUS_INTERVAL = 1_s;

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before other threads
  return value == nullptr ? "" : value;
}

// Nothing when the watchdog is off or means another process.
std::optional<Duration> watchdogOfEnvironment() {
  std::string interval = variable("WATCHDOG_USEC");
  std::string pid = variable("WATCHDOG_PID");
  if (interval.empty() || (!pid.empty() && pid != std::to_string(getpid()))) return std::nullopt;
  int64_t microseconds = std::strtoll(interval.c_str(), nullptr, 10);
  if (microseconds <= 0) return std::nullopt;
  return Duration{microseconds * 1000};
}

// A connected datagram socket, so that sending needs no address. Invalid when nobody listens there.
kj::AutoCloseFd connectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) return {};
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  kj::AutoCloseFd own(fd);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    KJ_LOG(WARNING, "the service manager cannot be told anything", path.c_str(), errno);
    return {};
  }
  return own;
}

}  // namespace

ServiceManager ServiceManager::fromEnvironment() {
  return ServiceManager(variable("NOTIFY_SOCKET"), watchdogOfEnvironment());
}

ServiceManager::ServiceManager(const std::string& socketPath, std::optional<Duration> watchdog)
    : socket_(connectTo(socketPath)), watchdog_(watchdog) {}

void ServiceManager::ready() { send("READY=1"); }
void ServiceManager::reloading() { send("RELOADING=1"); }
void ServiceManager::stopping() { send("STOPPING=1"); }

void ServiceManager::status(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  if (line == lastStatus_) return;
  lastStatus_ = line;
  send("STATUS=" + line);
}

void ServiceManager::tell(const std::string& text) {
  status(text);
  if (watchdog_) send("WATCHDOG=1");
}

Duration ServiceManager::signOfLifeEvery() const {
  return watchdog_ ? std::min(STATUS_INTERVAL, *watchdog_ / 2) : STATUS_INTERVAL;
}

kj::Promise<void> ServiceManager::keepTelling(kj::Timer& timer,
                                              kj::Function<std::string()> describe) {
  if (!isThere()) return kj::NEVER_DONE;
  auto owned = kj::heap(kj::mv(describe));
  auto& borrowed = *owned;
  return tellOnce(timer, borrowed).attach(kj::mv(owned));
}

kj::Promise<void> ServiceManager::tellOnce(kj::Timer& timer,
                                           kj::Function<std::string()>& describe) {
  tell(describe());
  return timer.afterDelay(toKj(signOfLifeEvery())).then([this, &timer, &describe] {
    return tellOnce(timer, describe);
  });
}

// A service manager that does not take the message misses a line or, at worst, starts us again: no
// reason to wait for it.
void ServiceManager::send(const std::string& message) {
  if (!isThere()) return;
  if (::send(socket_, message.data(), message.size(), MSG_NOSIGNAL) < 0) {
    KJ_LOG(WARNING, "the service manager did not take a message", message.c_str(), errno);
  }
}

}  // namespace muster
