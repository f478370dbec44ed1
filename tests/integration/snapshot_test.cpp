// Three coordinator processes with small thresholds: snapshots are written while there is load, the
// log is trimmed, and who lost its disk comes back with the same state.
#include "bench/write_stream.h"
#include "failover/paths.h"
#include "failover/zookeeper.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>

namespace muster::snapshot_test {
namespace {

const ClusterName CLUSTER{"test"};
constexpr auto PATIENCE = 60 * kj::SECONDS;

class FakeAgent final : public schema::Agent::Server {
 public:
  virtual ~FakeAgent() noexcept(false) = default;
};

struct Info {
  uint64_t applied = 0;
  std::optional<Guid> hash;
  bool leads = false;
};

class SnapshotClusterTest : public testing::Test {
 protected:
  SnapshotClusterTest() {
    const std::pair<const char*, const char*> SMALL[] = {{"MUSTER_SNAPSHOT_BATCHES", "200"},
                                                         {"MUSTER_SNAPSHOT_KEPT_BATCHES", "20"}};
    for (auto [name, value] : SMALL) setenv(name, value, 1);
    admin = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                             processes.certificate({Role::ADMIN, "anna"}));
    worker = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                              processes.certificate({Role::WORKER, "gpu01"}));
    auto made = processes.run({"--config", processes.configPath(0), "--bootstrap"});
    KJ_REQUIRE(made.code == 0, made.output.c_str());
    for (size_t i = 0; i < processes.count(); i++) processes.start(i);
  }
  ~SnapshotClusterTest() noexcept override = default;

  void await(const std::string& what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      ASSERT_LT(loop.timer().now(), deadline) << "waited in vain until " << what << "\n" << logs();
      loop.timer().afterDelay(20 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }
  std::string logs() {
    std::string all;
    for (size_t i = 0; i < processes.count(); i++) all += "---\n" + processes.log(i);
    return all;
  }

  std::optional<Info> ask(size_t member) {
    std::optional<Info> info;
    auto asked =
        connectRpc(*admin, loop.timer(), processes.address(member), Role::COORDINATOR)
            .then([&](kj::Own<RpcConnection> connection) {
              return connection->bootstrap<schema::Gate>()
                  .helloRequest()
                  .send()
                  .then([&](auto&& response) {
                    auto said = response.getInfo();
                    info = Info{said.getAppliedIndex(), std::nullopt, said.getStage() == 3};
                    if (said.hasStateHash()) info->hash = decode(said.getStateHash());
                  })
                  .attach(kj::mv(connection));
            });
    withDeadline(loop.timer(), 2_s, "hello", kj::mv(asked))
        .catch_([](kj::Exception&&) {})
        .wait(loop.waitScope());
    return info;
  }
  std::optional<size_t> leader() {
    for (size_t i = 0; i < processes.count(); i++) {
      if (processes.pid(i) == 0) continue;
      auto info = ask(i);
      if (info && info->leads) return i;
    }
    return std::nullopt;
  }

  // A node that can be written to: an agent that attaches to all and says nothing more.
  void attach(size_t member) {
    auto connection =
        connectRpc(*worker, loop.timer(), processes.address(member), Role::COORDINATOR)
            .wait(loop.waitScope());
    auto request =
        connection->bootstrap<schema::Gate>().workerRequest().send().getGate().attachRequest();
    WorkerHello hello;
    hello.cluster = CLUSTER.value;
    hello.node.name = {"gpu01"};
    hello.node.address = "127.0.0.1";
    hello.node.devices = {{{0}, "cpu", "gpu01-0", 4_GiB, 0}};
    hello.node.version = "test";
    hello.incarnation = {1, 2};
    encode(hello, request.initHello());
    request.setAgent(kj::heap<FakeAgent>());
    auto response = request.send().wait(loop.waitScope());
    connections.push_back(kj::mv(connection));
    sessions.push_back(response.getSession());
  }

  kj::Own<bench::WriteStream> startWrites() {
    await("a leader serves", [&] { return leader().has_value(); });
    for (size_t i = 0; i < processes.count(); i++) {
      await("it listens", [&] { return kj::runCatchingExceptions([&] { attach(i); }) == nullptr; });
    }
    uint64_t before = ask(*leader())->applied;
    std::vector<std::string> addresses;
    for (size_t i = 0; i < processes.count(); i++) addresses.push_back(processes.address(i));
    auto writes = kj::heap<bench::WriteStream>(loop, *admin, addresses, "gpu01");
    await("writes are acknowledged", [&] { return writes->acknowledged() > 0; });
    EXPECT_GT(ask(*leader())->applied, before);
    return writes;
  }

  // All that run have the same state at the same index.
  void awaitEqual() {
    std::optional<Info> first;
    await("all have the same state", [&] {
      first.reset();
      for (size_t i = 0; i < processes.count(); i++) {
        auto info = ask(i);
        if (!info || !info->hash) return false;
        if (!first) first = info;
        if (info->applied != first->applied) return false;
      }
      return true;
    });
    for (size_t i = 0; i < processes.count(); i++) {
      auto info = ask(i);
      ASSERT_TRUE(info);
      EXPECT_EQ(info->applied, first->applied) << i;
      EXPECT_EQ(info->hash, first->hash) << i;
    }
  }

  size_t count(const std::string& log, const std::string& text) {
    size_t found = 0;
    for (size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) found++;
    return found;
  }
  size_t said(const std::string& text) { return count(logs(), text); }

  support::ZkServers zookeeper{1};
  support::CoordinatorProcesses processes{CLUSTER, zookeeper.addresses(), 3};
  EventLoop loop;
  kj::Own<Transport> admin;
  kj::Own<Transport> worker;
  std::vector<kj::Own<RpcConnection>> connections;
  std::vector<schema::WorkerSession::Client> sessions;
};

TEST_F(SnapshotClusterTest, whoLosesItsDiskComesBackWithTheSameState) {
  auto writes = startWrites();
  await("the log was trimmed", [&] { return said("log trimmed") >= 2; });
  size_t victim = (*leader() + 1) % processes.count();
  processes.kill(victim);
  std::filesystem::remove_all(processes.dataDirectory(victim));
  uint64_t acknowledged = writes->acknowledged();
  await("more is written", [&] { return writes->acknowledged() > acknowledged + 200; });
  processes.start(victim);
  await("it is restored",
        [&] { return count(processes.log(victim), "restored from a snapshot") >= 1; });
  writes = nullptr;
  awaitEqual();
}

TEST_F(SnapshotClusterTest, whoLosesItsDiskHasTheWholeAuditAgain) {
  auto writes = startWrites();
  await("the log was trimmed", [&] { return said("log trimmed") >= 2; });
  size_t victim = (*leader() + 1) % processes.count();
  processes.kill(victim);
  std::filesystem::remove_all(processes.dataDirectory(victim));
  processes.start(victim);
  await("it has the history",
        [&] { return count(processes.log(victim), "history copied from peers") >= 1; });
  EXPECT_GE(count(processes.log(victim), "restored from a snapshot"), 1u);
  writes = nullptr;
  awaitEqual();
  std::vector<std::string> audits;
  for (size_t i = 0; i < processes.count(); i++) {
    processes.kill(i);
    auto printed = processes.run({"--print-store", processes.dataDirectory(i)});
    EXPECT_EQ(printed.code, 0) << printed.output;
    audits.push_back(printed.output);
  }
  EXPECT_GT(count(audits[0], "request_id"), 200u);
  for (const std::string& audit : audits) EXPECT_TRUE(audit == audits[0]);  // not printed: long
}

TEST_F(SnapshotClusterTest, aWriterKilledInTheMiddleLosesNothing) {
  // So slow that the writer is always caught in the middle.
  for (size_t i = 0; i < processes.count(); i++) processes.kill(i);
  setenv("MUSTER_SNAPSHOT_RATE", "1KiB", 1);
  for (size_t i = 0; i < processes.count(); i++) processes.start(i);
  auto writes = startWrites();
  failover::ZookeeperOptions options{zookeeper.addresses(), 2_s, "muster:a secret of tests"};
  auto session = failover::ZookeeperService(loop, options).open();
  failover::Paths paths(CLUSTER);
  std::string folder;
  await("a snapshot is begun", [&] {
    auto listed = session->list(paths.snapshot()).wait(loop.waitScope());
    for (const auto& name : listed.children) {
      if (name != "current") folder = paths.snapshot() + "/" + name;
    }
    return !folder.empty();
  });
  std::string writer = session->get(folder).wait(loop.waitScope()).data;
  size_t member = static_cast<size_t>(writer.back() - '1');
  ASSERT_LT(member, processes.count()) << writer;
  processes.kill(member);
  unsetenv("MUSTER_SNAPSHOT_RATE");
  for (size_t i = 0; i < processes.count(); i++) {
    if (processes.pid(i) != 0) processes.kill(i);
    processes.start(i);
  }
  writes = nullptr;
  connections.clear();
  sessions.clear();
  writes = startWrites();
  await("the log was trimmed", [&] { return said("log trimmed") >= 1; });
  EXPECT_TRUE(session->list(folder).wait(loop.waitScope()).code == failover::ZkCode::NO_NODE);
  writes = nullptr;
  awaitEqual();
}

}  // namespace
}  // namespace muster::snapshot_test
