// A connection whose other host is gone, in a network of this test's own whose only interface is
// taken down.
#include "base/event_loop.h"
#include "base/pki.h"
#include "base/tls_transport.h"
#include "tests/base/temporary_folder.h"

#include <capnp/message.h>
#include <capnp/schema.capnp.h>
#include <gtest/gtest.h>
#include <kj/debug.h>
#include <net/if.h>
#include <sched.h>

#include <cstring>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace muster::host_gone_test {
namespace {

const ClusterName CLUSTER{"test"};

void setLoopback(bool isUp) {
  int any = socket(AF_INET, SOCK_DGRAM, 0);
  KJ_DEFER(close(any));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  KJ_SYSCALL(ioctl(any, SIOCGIFFLAGS, &request));
  request.ifr_flags =
      static_cast<short>(isUp ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  KJ_SYSCALL(ioctl(any, SIOCSIFFLAGS, &request));
}

class HostGone : public testing::Test {
 public:
  ~HostGone() noexcept override = default;

 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "only root can make network namespaces";
    setLoopback(true);
    createCa(folder_.path(), CLUSTER);
    server_ = transport({Role::COORDINATOR, "co1"});
    client_ = transport({Role::WORKER, "w1"});
    listener_ = within(server_->listen(
        "127.0.0.1:0", [this](kj::Own<Connection> connection) { accepted_ = kj::mv(connection); }));
    dialled_ = within(client_->connect(listener_->address(), Role::COORDINATOR));
  }
  kj::Own<Transport> transport(PeerIdentity identity) {
    auto files = issueCertificate(
        folder_.path(), {.identity = std::move(identity), .cluster = CLUSTER}, folder_.path());
    return makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER, files);
  }
  template <class T>
  T within(kj::Promise<T> promise) {
    return loop_.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop_.waitScope());
  }
  kj::Promise<void> say() {
    auto message = kj::heap<capnp::MallocMessageBuilder>();
    message->initRoot<capnp::schema::Node>().setId(7);
    auto written = dialled_->stream->writeMessage(*message);
    return written.attach(kj::mv(message));
  }

  EventLoop loop_;
  TemporaryFolder folder_;
  kj::Own<Transport> server_;
  kj::Own<Transport> client_;
  kj::Own<Connection> accepted_;
  kj::Own<Listener> listener_;
  kj::Own<Connection> dialled_;
};

// By itself the kernel would try for a quarter of an hour. kj takes a time that is out for an
// overload; RPC makes a lost connection of it, as of any end.
TEST_F(HostGone, breaksAConnectionOnWhichSomethingWasSaid) {
  setLoopback(false);
  auto failure = kj::runCatchingExceptions([&] {
    within(say());
    within(dialled_->stream->readMessage());
  });
  auto& why = KJ_ASSERT_NONNULL(failure);
  EXPECT_EQ(why.getType(), kj::Exception::Type::OVERLOADED) << kj::str(why).cStr();
}

TEST_F(HostGone, forAMomentCostsNothing) {
  setLoopback(false);
  auto heard = accepted_->stream->readMessage();
  within(say());
  setLoopback(true);
  EXPECT_EQ(within(kj::mv(heard))->getRoot<capnp::schema::Node>().getId(), 7u);
}

}  // namespace
}  // namespace muster::host_gone_test
