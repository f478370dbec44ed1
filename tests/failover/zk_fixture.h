// What every test against real ZooKeeper servers needs: an event loop, sessions, and waiting with a
// deadline.
#pragma once

#include "base/event_loop.h"
#include "failover/zookeeper.h"
#include "tests/support/zk_server.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace muster::failover {

inline const char* const DIGEST = "muster:secret of the test";

class Patience {
 public:
  explicit Patience(EventLoop& loop) : loop_(loop) {}

  template <class T>
  T await(kj::Promise<T> promise, kj::Duration limit = 20 * kj::SECONDS) {
    return loop_.timer().timeoutAfter(limit, kj::mv(promise)).wait(loop_.waitScope());
  }
  // Looks again every 2 ms; false after `limit`.
  bool until(const std::function<bool()>& condition, kj::Duration limit = 20 * kj::SECONDS) {
    auto deadline = loop_.timer().now() + limit;
    while (!condition()) {
      if (loop_.timer().now() > deadline) return false;
      loop_.timer().afterDelay(2 * kj::MILLISECONDS).wait(loop_.waitScope());
    }
    return true;
  }

 private:
  EventLoop& loop_;
};

class ZkTest : public ::testing::Test {
 protected:
  explicit ZkTest(size_t serverCount = 1, Duration tick = 200_ms)
      : servers(serverCount, tick), patience(loop) {
    loop.waitScope().setBusyPollInterval(64);
  }

  ~ZkTest() noexcept override {}  // gtest's own may not throw, the event loop's may

  ZookeeperOptions options(Duration timeout = 2_s) const {
    ZookeeperOptions result;
    result.servers = servers.addresses();
    result.sessionTimeout = timeout;
    result.digest = DIGEST;
    return result;
  }
  kj::Own<CoordinationSession> open(ZookeeperOptions options) {
    return ZookeeperService(loop, std::move(options)).open();
  }
  kj::Own<CoordinationSession> connect(ZookeeperOptions options) {
    auto session = open(std::move(options));
    KJ_REQUIRE(patience.until([&] { return session->state() == SessionState::CONNECTED; }),
               "no connection");
    return session;
  }
  kj::Own<CoordinationSession> connect() { return connect(options()); }

  ZkCode create(CoordinationSession& session, std::string path, std::string data = "",
                CreateMode mode = CreateMode::PERSISTENT) {
    return patience.await(session.multi({createOp(std::move(path), std::move(data), mode)})).code;
  }

  EventLoop loop;
  support::ZkServers servers;
  Patience patience;
};

class ZkEnsembleTest : public ZkTest {
 protected:
  ZkEnsembleTest() : ZkTest(3) {}
};

}  // namespace muster::failover
