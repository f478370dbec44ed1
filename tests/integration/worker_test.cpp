// A worker process with three coordinator processes on a real ZooKeeper: it attaches to all, takes
// the leader's order and lease, and follows the next leader.
#include "base/co.h"
#include "base/event_loop.h"
#include "tests/support/worker_process.h"
#include "tests/support/zk_server.h"
#include "worker/order_store.h"

#include <gtest/gtest.h>
#include <kj/compat/tls.h>

#include <functional>

namespace muster::worker_test {
namespace {

const ClusterName CLUSTER{"test"};
constexpr auto PATIENCE = 30 * kj::SECONDS;

class WorkerTest : public testing::Test {
 protected:
  ~WorkerTest() noexcept override {}  // as gtest's own: an event loop's may throw

  void startCoordinators() {
    auto made = coordinators.run({"--config", coordinators.configPath(0), "--bootstrap"});
    ASSERT_EQ(made.code, 0) << made.output;
    for (size_t i = 0; i < coordinators.count(); i++) coordinators.start(i);
  }

  // Looks again and again until it is so.
  void await(const std::string& what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      ASSERT_LT(loop.timer().now(), deadline) << "waited in vain until " << what << "\n"
                                              << workers.log(0) << coordinators.log(0);
      loop.timer().afterDelay(10 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }
  // How often the worker's log says it.
  size_t said(const std::string& text) const {
    std::string log = workers.log(0);
    size_t count = 0;
    for (size_t at = 0; (at = log.find(text, at)) != std::string::npos; at++) count++;
    return count;
  }
  void awaitSaid(const std::string& text, size_t times) {
    await("it said " + text, [&] { return said(text) >= times; });
  }

  // What the worker has on its disk.
  worker::StoredOrders stored() const {
    return *worker::makeFileOrderStore(workers.dataDirectory(0) + "/orders")->load();
  }
  // The member that the worker's newest word calls the leader.
  size_t leader() const {
    std::string log = workers.log(0);
    size_t line = log.rfind("this coordinator leads");
    size_t name = log.find("coordinator=co", line);
    KJ_REQUIRE(line != std::string::npos && name != std::string::npos, log.c_str());
    return static_cast<size_t>(log[name + 14] - '1');
  }

  // What the HTTP port answers; shows a certificate unless `own` is null.
  std::string get(const std::string& path, const TlsFiles* own) {
    auto ca = contentOf(coordinators.certificate({Role::VIEWER, "anyone"}).ca);
    kj::TlsCertificate trusted{kj::StringPtr(ca.c_str())};
    kj::TlsContext::Options options;
    options.useSystemTrustStore = false;
    options.trustedCertificates = kj::arrayPtr(&trusted, 1);
    kj::Maybe<kj::TlsKeypair> pair;
    if (own != nullptr) {
      auto key = contentOf(own->key);
      auto certificate = contentOf(own->certificate);
      options.defaultKeypair =
          pair.emplace(kj::TlsKeypair{kj::TlsPrivateKey(kj::StringPtr(key.c_str())),
                                      kj::TlsCertificate(kj::StringPtr(certificate.c_str()))});
    }
    kj::TlsContext tls(kj::mv(options));
    auto text = getCo(tls, path).asPromise();
    return loop.timer().timeoutAfter(PATIENCE, kj::mv(text)).wait(loop.waitScope());
  }
  Co<std::string> getCo(kj::TlsContext& tls, std::string path) {
    std::string log = workers.log(0);
    auto port = std::stoul(log.substr(log.rfind("http_port=") + 10));
    auto address = co_await loop.network().parseAddress("127.0.0.1", static_cast<uint>(port));
    auto raw = co_await address->connect();
    auto stream = co_await tls.wrapClient(kj::mv(raw), "worker.test.muster");
    std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    co_await stream->write(request.data(), request.size());
    auto answer = co_await stream->readAllText();
    co_return std::string(answer.cStr());
  }

  support::ZkServers zookeeper{1};
  support::CoordinatorProcesses coordinators{CLUSTER, zookeeper.addresses(), 3};
  support::WorkerProcesses workers{CLUSTER, coordinators, 1};
  EventLoop loop;
};

TEST_F(WorkerTest, attachesToAllTakesTheLeadersOrderAndFollowsTheNextLeader) {
  startCoordinators();
  workers.start(0);
  awaitSaid("ready", 1);
  awaitSaid(" attached", 3);
  awaitSaid("lease held", 1);
  await("the first order is stored", [&] { return stored().order.stamp.index.value > 0; });
  worker::StoredOrders before = stored();
  EXPECT_EQ(before.order.stamp.token, before.token);

  coordinators.kill(leader());
  awaitSaid("this coordinator leads", 2);
  await("the next epoch is stored", [&] { return stored().token > before.token; });
  EXPECT_EQ(stored().token.history, before.token.history);
  EXPECT_EQ(said("isolated"), 0u) << "the lease outlived the change of leaders";
  await("the next leader's order is stored",
        [&] { return stored().order.stamp.token > before.order.stamp.token; });
}

TEST_F(WorkerTest, endsOnSigtermAndGoesOnWithItsOrder) {
  startCoordinators();
  workers.start(0);
  await("the first order is stored", [&] { return stored().order.stamp.index.value > 0; });
  OrderStamp first = stored().order.stamp;
  auto end = workers.terminate(0);
  EXPECT_EQ(end.code, 0) << end.output;
  workers.start(0);
  awaitSaid("going on with the stored order", 1);
  await("the order for its new life is stored", [&] { return stored().order.stamp > first; });
}

TEST_F(WorkerTest, waitsForItsCoordinatorsAndIsThereAtOnce) {
  workers.start(0);
  awaitSaid("cannot attach", 3);
  startCoordinators();
  awaitSaid(" attached", 3);
  awaitSaid("lease held", 1);
}

TEST_F(WorkerTest, showsItsMetricsToWhomMayLook) {
  workers.start(0);
  awaitSaid("ready", 1);
  TlsFiles viewer = coordinators.certificate({Role::VIEWER, "vera"});
  TlsFiles gateway = coordinators.certificate({Role::GATEWAY, "g1"});
  EXPECT_EQ(get("/healthz", nullptr).find("HTTP/1.1 200"), 0u);
  EXPECT_EQ(get("/metrics", nullptr).find("HTTP/1.1 401"), 0u);
  EXPECT_EQ(get("/metrics", &gateway).find("HTTP/1.1 401"), 0u);
  EXPECT_EQ(get("/none", &viewer).find("HTTP/1.1 404"), 0u);
  std::string metrics = get("/metrics", &viewer);
  EXPECT_EQ(metrics.find("HTTP/1.1 200"), 0u) << metrics;
  EXPECT_NE(metrics.find("muster_build_info{"), std::string::npos) << metrics;
}

TEST_F(WorkerTest, saysWhatIsWrongInTheErrorStyle) {
  std::string config = workers.configPath(0);
  auto good = workers.run({"--config", config, "--check-config"});
  EXPECT_EQ(good.code, 0) << good.output;
  workers.start(0);
  awaitSaid("ready", 1);
  auto second = workers.run({"--config", config});
  EXPECT_EQ(second.code, 1);
  EXPECT_EQ(second.output.find("error[E0710]"), 0u) << second.output;
  auto other = workers.run(
      {"--config", config, "--node", "w2", "--data_dir", workers.dataDirectory(0) + "-2"});
  EXPECT_EQ(other.code, 1);
  EXPECT_EQ(other.output.find("error[E0201]"), 0u) << other.output;
  auto flag = workers.run({"--nodes", "w2"});
  EXPECT_EQ(flag.code, 2) << flag.output;
  auto none = workers.run({"--config", "/nowhere.toml", "--check-config"});
  EXPECT_EQ(none.code, 3) << none.output;
  auto address = workers.run({"--config", config, "--address", "here", "--check-config"});
  EXPECT_EQ(address.code, 3);
  EXPECT_NE(address.output.find("\"here\" is no IP address"), std::string::npos) << address.output;
}

TEST_F(WorkerTest, doesNotStartWithADamagedOrder) {
  std::filesystem::create_directories(workers.dataDirectory(0));
  std::ofstream(workers.dataDirectory(0) + "/orders") << "no order of ours";
  auto end = workers.run({"--config", workers.configPath(0)});
  EXPECT_EQ(end.code, 1);
  EXPECT_NE(end.output.find("the stored order"), std::string::npos) << end.output;
  EXPECT_NE(end.output.find("mv "), std::string::npos) << "it says what to do\n" << end.output;
}

}  // namespace
}  // namespace muster::worker_test
