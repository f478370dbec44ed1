#include "base/unix_control.h"

#include "base/event_loop.h"
#include "base/rpc.h"
#include "tests/base/echo.capnp.h"
#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>
#include <kj/debug.h>
#include <kj/io.h>

#include <fcntl.h>
#include <string.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::unix_control_test {
namespace {

using Side = capnp::rpc::twoparty::Side;

class Answerer final : public Echo::Server {
 public:
  kj::Promise<void> say(SayContext context) override {
    context.getResults().setText(context.getParams().getText());
    return kj::READY_NOW;
  }
};

class UnixControlTest : public testing::Test {
 public:
  UnixControlTest() { KJ_SYSCALL(chmod(folder.path().c_str(), 0700)); }
  ~UnixControlTest() noexcept override = default;

 protected:
  template <class T>
  T within(kj::Promise<T> promise) {
    return loop.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop.waitScope());
  }
  void listen() {
    listener = within(listenUnix(loop.network(), path, [this](kj::Own<Connection> connection) {
      accepted = kj::heap<RpcConnection>(kj::mv(connection), loop.timer(), Side::SERVER,
                                         Echo::Client(kj::heap<Answerer>()));
    }));
  }
  template <class T>
  std::string failureOf(kj::Promise<T> promise) {
    auto failure = kj::runCatchingExceptions([&] { within(kj::mv(promise)); });
    KJ_IF_MAYBE (e, failure) {
      EXPECT_EQ(e->getType(), kj::Exception::Type::FAILED);
      return e->getDescription().cStr();
    }
    return "no failure";
  }
  std::string listenFailure() {
    return failureOf(listenUnix(loop.network(), path, [](kj::Own<Connection>) {}));
  }

  TemporaryFolder folder;
  EventLoop loop;
  std::string path = folder / "control.sock";
  kj::Own<RpcConnection> accepted;
  kj::Own<Listener> listener;
};

TEST_F(UnixControlTest, carriesRpc) {
  listen();
  RpcConnection client(within(connectUnix(loop.network(), path)), loop.timer(), Side::CLIENT,
                       nullptr);
  auto request = client.bootstrap<Echo>().sayRequest();
  request.setText("hello");
  EXPECT_EQ(within(request.send().then([](auto&& answer) { return kj::str(answer.getText()); })),
            "hello");
  EXPECT_EQ(accepted->peer(), (PeerIdentity{Role::WORKER, "local"}));
}

TEST_F(UnixControlTest, folderOpenToOthersIsRefusedOnBothSides) {
  listen();
  KJ_SYSCALL(chmod(folder.path().c_str(), 0750));
  EXPECT_NE(listenFailure().find("0700"), std::string::npos);
  EXPECT_NE(failureOf(connectUnix(loop.network(), path)).find("0700"), std::string::npos);
}

TEST_F(UnixControlTest, staleSocketIsReplacedAndOursRemoved) {
  listen();
  // What a killed process leaves: a socket that nobody listens on.
  KJ_SYSCALL(rename(path.c_str(), (folder / "kept").c_str()));
  listener = nullptr;
  KJ_SYSCALL(rename((folder / "kept").c_str(), path.c_str()));
  auto refused = kj::runCatchingExceptions([&] { within(connectUnix(loop.network(), path)); });
  EXPECT_EQ(KJ_ASSERT_NONNULL(refused).getType(), kj::Exception::Type::DISCONNECTED);
  listen();
  within(connectUnix(loop.network(), path));
  listener = nullptr;
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST_F(UnixControlTest, neverRemovesAnythingButASocket) {
  std::ofstream(path) << "precious";
  EXPECT_NE(listenFailure().find("something else"), std::string::npos);
  EXPECT_EQ(contentOf(path), "precious");
}

TEST_F(UnixControlTest, tooLongAPathIsSaid) {
  path = folder / std::string(120, 'x');
  EXPECT_NE(listenFailure().find("too long"), std::string::npos);
}

TEST_F(UnixControlTest, anotherUserIsHungUpOn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can play another user";
  listen();
  // Opened behind our back: now only the kernel's word on the peer's user stands between.
  KJ_SYSCALL(chmod(folder.path().c_str(), 0755));
  KJ_SYSCALL(chmod(path.c_str(), 0777));
  pid_t stranger = fork();
  if (stranger == 0) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (setuid(65534) != 0) _exit(1);
    strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) _exit(2);
    char byte;
    _exit(read(fd, &byte, 1) == 0 ? 0 : 3);  // the end of the stream, at once
  }
  int status = -1;
  for (int i = 0; i < 4000 && waitpid(stranger, &status, WNOHANG) == 0; i++) {
    within(loop.timer().afterDelay(5 * kj::MILLISECONDS));
  }
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: no setuid, 2: no connection, 3: no end of stream";
  EXPECT_TRUE(accepted.get() == nullptr);
}

}  // namespace
}  // namespace muster::unix_control_test
