// An agent with fake ranks, and fake coordinators that it dials over TLS on loopback.
#pragma once

#include "base/event_loop.h"
#include "base/pki.h"
#include "base/tls_transport.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/fake_ranks.h"
#include "tests/support/memory_order_store.h"
#include "tests/worker/fake_coordinator.h"
#include "worker/agent.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster::worker {

class AgentFixture : public testing::Test {
 protected:
  AgentFixture()
      : logger_({.level = LogLevel::DEBUG,
                 .output = [this](auto line) { lines_.emplace_back(line); }}) {
    createCa(folder_.path(), CLUSTER);
  }
  ~AgentFixture() noexcept override = default;

  template <class T>
  T within(kj::Promise<T> promise) {
    return loop_.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop_.waitScope());
  }
  // Lets the loop run until `condition` holds.
  template <class Condition>
  void until(Condition condition) {
    for (int i = 0; i < 4000 && !condition(); i++) {
      within(loop_.timer().afterDelay(5 * kj::MILLISECONDS));
    }
    ASSERT_TRUE(condition());
  }

  kj::Own<Transport> transport(Role role, std::string name) {
    auto files = issueCertificate(
        folder_.path(), {.identity = {role, std::move(name)}, .cluster = CLUSTER}, folder_.path());
    return makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER, files);
  }
  kj::Own<FakeCoordinator> coordinator(const std::string& id) {
    auto made = kj::heap<FakeCoordinator>(loop_.timer(), transport(Role::COORDINATOR, id));
    within(made->start());
    return made;
  }

  // Delays are short, so that tests are quick; their proportions are those of production.
  LinkPolicy policy() const {
    LinkPolicy policy;
    policy.lost = {10_ms, 50_ms};
    policy.unhurried = unhurried_;
    policy.ledLook = ledLook_;
    policy.refused = {20_ms, 50_ms};
    policy.heartbeatDeadline = 300_ms;
    policy.heartbeatMin = 10_ms;
    policy.changeGap = 1_ms;
    return policy;
  }
  Result<kj::Own<Agent>> tryStart(std::vector<std::string> coordinators) {
    if (transport_.get() == nullptr) transport_ = transport(Role::WORKER, "w1");
    NodeInfo node;
    node.name = {"w1"};
    node.address = "127.0.0.1";
    node.devices = {{{0}, "cpu", "w1-cpu-0", 4_GiB, 0}};
    return Agent::start(
        {loop_.timer(), clock_, random_, *transport_, ranks_, inspection_, orders_, logger_},
        {CLUSTER, node, std::move(coordinators), policy(), weightAddress_});
  }
  kj::Own<Agent> start(std::vector<std::string> coordinators) {
    auto started = tryStart(std::move(coordinators));
    KJ_ASSERT(started.ok());
    return kj::mv(*started);
  }
  size_t linesWith(const std::string& text) const {
    size_t count = 0;
    for (const auto& line : lines_) count += line.find(text) != std::string::npos;
    return count;
  }

  inline static const ClusterName CLUSTER{"test"};
  TemporaryFolder folder_;
  EventLoop loop_;
  SystemClock clock_;
  SeededRandom random_{42};
  std::vector<std::string> lines_;
  Logger logger_;
  kj::Own<Transport> transport_;
  MemoryOrderDisk disk_;
  MemoryOrderStore orders_{disk_};
  BackoffPolicy unhurried_{50_ms, 50_ms};
  Duration ledLook_ = 20_ms;
  FakeRanks ranks_;
  std::string weightAddress_;
  FakeInspection inspection_;
};

}  // namespace muster::worker
