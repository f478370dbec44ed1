#include "base/service_manager.h"

#include "base/event_loop.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace muster::service_manager_test {
namespace {

using testing::ElementsAre;

// The service manager's end.
class Receiver {
 public:
  explicit Receiver(const std::string& path) : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';
    auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    KJ_SYSCALL(bind(fd_, reinterpret_cast<sockaddr*>(&address), size));
  }
  // All that has arrived.
  std::vector<std::string> take() {
    std::vector<std::string> messages;
    char buffer[4096];
    for (;;) {
      ssize_t size = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (size < 0) return messages;
      messages.emplace_back(buffer, static_cast<size_t>(size));
    }
  }

 private:
  kj::AutoCloseFd fd_;
};

TEST(ServiceManager, hearsWhatADaemonGoesThrough) {
  TemporaryFolder folder;
  Receiver receiver(folder / "notify");
  ServiceManager manager(folder / "notify", std::nullopt);
  EXPECT_TRUE(manager.isThere());
  manager.ready();
  manager.status("standby, index 7\nnever a second line");
  manager.reloading();
  manager.stopping();
  EXPECT_THAT(receiver.take(),
              ElementsAre("READY=1", "STATUS=standby, index 7", "RELOADING=1", "STOPPING=1"));
}

TEST(ServiceManager, isToldAStatusOnce) {
  TemporaryFolder folder;
  Receiver receiver(folder / "notify");
  ServiceManager manager(folder / "notify", std::nullopt);
  manager.status("serving");
  manager.status("serving");
  manager.status("standby");
  EXPECT_THAT(receiver.take(), ElementsAre("STATUS=serving", "STATUS=standby"));
}

TEST(ServiceManager, getsASignOfLifeTwiceInItsTime) {
  EventLoop loop;
  std::string abstract = "@muster-service-manager-test-" + std::to_string(getpid());
  Receiver receiver(abstract);
  ServiceManager manager(abstract, 20_ms);
  uint32_t asked = 0;
  auto third = kj::newPromiseAndFulfiller<void>();
  auto telling = manager.keepTelling(loop.timer(), [&] {
    if (++asked == 3) third.fulfiller->fulfill();
    return std::string("serving");
  });
  auto start = loop.timer().now();
  third.promise.exclusiveJoin(kj::mv(telling)).wait(loop.waitScope());
  EXPECT_GE(loop.timer().now() - start, 20 * kj::MILLISECONDS);
  EXPECT_THAT(receiver.take(),
              ElementsAre("STATUS=serving", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"));
}

TEST(ServiceManager, isNotMissedWhereThereIsNone) {
  for (const std::string& path : {std::string(), std::string("/nowhere/at/all")}) {
    ServiceManager manager(path, 1_s);
    EXPECT_FALSE(manager.isThere()) << path;
    manager.ready();
    manager.status("serving");
  }
}

}  // namespace
}  // namespace muster::service_manager_test
