// Planned changes of leaders under load, with the client library and real processes: every call is
// answered, and each took effect once and only once.
#include "base/co.h"
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "base/tasks.h"
#include "cli/cluster_client.h"
#include "protocol/codec.h"
#include "tests/support/child_program.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <functional>
#include <map>
#include <sstream>

namespace muster::coordinator::hand_over_test {
namespace {

const ClusterName CLUSTER{"test"};
constexpr size_t CLIENTS = 8;
constexpr auto PATIENCE = 60 * kj::SECONDS;
// So long that nothing here happens because a session ended.
constexpr Duration SESSION = 8_s;

// Changes a deployment without replicas again and again, as fast as it is answered.
class Caller {
 public:
  Caller(EventLoop& loop, Transport& transport, std::vector<std::string> coordinators,
         std::string name)
      : name_(std::move(name)),
        client_(transport, loop.timer(), random_,
                {.coordinators = std::move(coordinators), .timeout = 30_s}) {
    running_ = run().asPromise().eagerlyEvaluate(nullptr);
  }
  KJ_DISALLOW_COPY(Caller);

  void end() { ending_ = true; }
  bool ended() const { return ended_; }
  Epoch epoch() const { return epoch_; }  // of the newest answer
  std::vector<Guid> answered;
  std::vector<std::string> refused;

 private:
  Co<void> run() {
    for (uint64_t n = 0; !ending_; n++) {
      auto call = callOf(n);
      auto answer = co_await client_.call(kj::mv(call));
      if (answer) {
        answered.push_back(answer->request.guid);
        epoch_ = answer->epoch;
      } else {
        refused.push_back(toText(answer.refusal().code) + " " + answer.refusal().text);
      }
    }
    ended_ = true;
  }

  cli::ClusterCall callOf(uint64_t n) const {
    std::string text = "version: 1\nname: " + name_ + "-" + std::to_string(n) +
                       "\nmodel: file:/none\ngpus: 1\n"
                       "engine: {kind: process, command: [sleep, infinity]}\nreplicas: 0\n";
    return cli::applyCall({.documents = {text, "load.yaml"}});
  }

  std::string name_;
  SystemRandom random_;
  cli::ClusterClient client_;
  Epoch epoch_;
  bool ending_ = false;
  bool ended_ = false;
  kj::Promise<void> running_ = nullptr;
};

class HandOverUnderLoad : public testing::Test {
 public:
  ~HandOverUnderLoad() noexcept override = default;

 protected:
  HandOverUnderLoad() {
    auto made = processes.run({"--config", processes.configPath(0), "--bootstrap"});
    EXPECT_EQ(made.code, 0) << made.output;
    std::vector<std::string> addresses;
    for (size_t i = 0; i < processes.count(); i++) {
      processes.start(i);
      addresses.push_back(processes.address(i));
    }
    transport = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                                 processes.certificate({Role::ADMIN, "anna"}));
    for (size_t i = 0; i < CLIENTS; i++) {
      callers.push_back(kj::heap<Caller>(loop, *transport, addresses, "c" + std::to_string(i)));
    }
  }

  void await(const std::string& what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      KJ_REQUIRE(loop.timer().now() < deadline, "waited in vain", what.c_str(), logs().c_str());
      loop.timer().afterDelay(2 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }
  std::string logs() {
    std::string all;
    for (size_t i = 0; i < processes.count(); i++) all += processes.log(i);
    return all;
  }
  // Every caller was answered in an epoch above this one.
  void awaitAllAbove(Epoch epoch) {
    await("all callers are answered by the next leader", [&] {
      for (auto& caller : callers) {
        if (caller->epoch() <= epoch) return false;
      }
      return true;
    });
  }
  size_t leaderOf(Epoch epoch) {
    std::string sign = " epoch=" + std::to_string(epoch.value) + " ";
    for (size_t i = 0; i < processes.count(); i++) {
      std::istringstream log(processes.log(i));
      for (std::string line; std::getline(log, line);) {
        if (line.find(" serving ") != std::string::npos && line.find(sign) != std::string::npos) {
          return i;
        }
      }
    }
    KJ_FAIL_REQUIRE("nobody served in that epoch", epoch.value);
  }
  // All others watch it: somebody stands in line.
  void awaitLine(size_t leader, Epoch epoch) {
    std::string sign = " epoch=" + std::to_string(epoch.value) + "\n";
    await("the others watch the leader", [&] {
      for (size_t i = 0; i < processes.count(); i++) {
        std::string log = processes.log(i);
        bool watches = log.rfind("watches the leader") != std::string::npos &&
                       log.find(sign, log.rfind("watches the leader")) != std::string::npos;
        if (i != leader && !watches) return false;
      }
      return true;
    });
  }
  // By request: how often the audit of a stopped coordinator says that it was accepted.
  std::map<std::string, size_t> accepted(size_t member) {
    auto printed = processes.run({"--print-store", processes.dataDirectory(member)});
    EXPECT_EQ(printed.code, 0) << printed.output;
    std::map<std::string, size_t> counts;
    std::istringstream rows(printed.output);
    for (std::string row; std::getline(rows, row);) {
      auto entry = nlohmann::json::parse(row);
      if (entry["outcome"] == "accepted") counts[entry["request_id"].get<std::string>()]++;
    }
    return counts;
  }

  support::ZkServers zookeeper{1, SESSION / 4};
  support::CoordinatorProcesses processes{CLUSTER, zookeeper.addresses(), 3, SESSION};
  EventLoop loop;
  kj::Own<Transport> transport;
  std::vector<kj::Own<Caller>> callers;
};

TEST_F(HandOverUnderLoad, callsInFlightAreAnsweredOnceAndOnlyOnce) {
  Epoch epoch;
  size_t leader = 0;
  for (int i = 0; i < 4; i++) {
    awaitAllAbove(epoch);
    epoch = callers[0]->epoch();
    leader = leaderOf(epoch);
    awaitLine(leader, epoch);
    auto begin = loop.timer().now();
    auto pid = processes.pid(leader);
    processes.signal(leader, SIGTERM);
    awaitAllAbove(epoch);
    EXPECT_LT(loop.timer().now() - begin, toKj(SESSION) / 2) << "nobody waited for a session's end";
    await("it has ended", [&] { return support::hasEnded(pid); });
    EXPECT_EQ(processes.terminate(leader).code, 0);
    if (i < 3) processes.start(leader);
  }
  for (auto& caller : callers) caller->end();
  await("all callers have ended", [&] {
    for (auto& caller : callers) {
      if (!caller->ended()) return false;
    }
    return true;
  });

  // Who leads now has stored whatever it acknowledged.
  epoch = callers[0]->epoch();
  size_t last = leaderOf(epoch);
  processes.terminate(last);
  auto counts = accepted(last);
  size_t answers = 0;
  for (auto& caller : callers) {
    EXPECT_TRUE(caller->refused.empty()) << caller->refused.front();
    answers += caller->answered.size();
    for (const Guid& request : caller->answered) {
      EXPECT_EQ(counts[toText(request)], 1u) << toText(request);
    }
  }
  EXPECT_GT(answers, 100u);
  EXPECT_EQ(counts.size(), answers) << "requests that took effect, and answers";
}

}  // namespace
}  // namespace muster::coordinator::hand_over_test
