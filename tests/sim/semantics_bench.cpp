#include "tests/sim/semantics_bench.h"

#include "base/event_loop.h"
#include "base/tasks.h"
#include "failover/session_wait.h"
#include "failover/zookeeper.h"
#include "tests/sim/sim_coordination.h"
#include "tests/support/zk_server.h"

#include <kj/debug.h>

#include <optional>
#include <utility>

namespace muster::sim {

using failover::CoordinationSession;
using failover::SessionState;

template <class T>
T SemanticsBench::ask(SessionNumber session,
                      std::function<kj::Promise<T>(CoordinationSession&)> question) {
  auto answer = std::make_shared<std::optional<T>>();
  in(session, [this, session, answer, question](CoordinationSession& at) {
    keep(session, question(at).then([answer](T value) { *answer = kj::mv(value); }));
  });
  KJ_REQUIRE(until([answer] { return answer->has_value(); }), "no answer");
  return kj::mv(**answer);
}

failover::MultiResult SemanticsBench::multi(SessionNumber session, std::vector<failover::Op> ops) {
  return ask<failover::MultiResult>(
      session, [ops](CoordinationSession& at) mutable { return at.multi(std::move(ops)); });
}

failover::GetResult SemanticsBench::get(SessionNumber session, std::string path) {
  return ask<failover::GetResult>(session,
                                  [path](CoordinationSession& at) { return at.get(path); });
}

failover::ListResult SemanticsBench::list(SessionNumber session, std::string path) {
  return ask<failover::ListResult>(session,
                                   [path](CoordinationSession& at) { return at.list(path); });
}

std::shared_ptr<SemanticsBench::Watch> SemanticsBench::watch(SessionNumber session,
                                                             std::string path) {
  auto watch = std::make_shared<Watch>();
  auto known = std::make_shared<bool>(false);
  in(session, [this, session, path, watch, known](CoordinationSession& at) {
    keep(session, at.watch(path).then([watch, known](failover::WatchResult result) {
      watch->code = result.code;
      *known = true;
      return result.changed.then([watch] { watch->fired = true; }, [](kj::Exception&&) {});
    }));
  });
  KJ_REQUIRE(until([known] { return *known; }), "no answer");
  return watch;
}

namespace {

// ---- simulated

class SessionProcess final : public Process {
 public:
  SessionProcess(SimZooKeeper& ensemble, Host& host)
      : session(ensemble.service(host)->open()), tasks("semantics") {}
  kj::Own<CoordinationSession> session;
  Tasks tasks;
};

class SimulatedBench final : public SemanticsBench {
 public:
  SimulatedBench() : world_(11), network_(world_), ensemble_(world_, network_) {}
  ~SimulatedBench() noexcept(false) override { world_.shutDown(); }

  SessionNumber open() override {
    Host& host = world_.addHost("client" + std::to_string(clients_.size()));
    hosts_.push_back(&host);
    host.start([this, &host]() -> kj::Own<Process> {
      auto process = kj::heap<SessionProcess>(ensemble_, host);
      clients_.push_back(process.get());
      return process;
    });
    auto& session = *clients_.back()->session;
    KJ_REQUIRE(until([&] { return session.state() == SessionState::CONNECTED; }));
    return clients_.size() - 1;
  }
  void in(SessionNumber number, std::function<void(CoordinationSession&)> action) override {
    world_.at(world_.now(), *hosts_.at(number),
              [this, number, action] { action(*clients_.at(number)->session); });
  }
  void keep(SessionNumber number, kj::Promise<void> promise) override {
    clients_.at(number)->tasks.add(kj::mv(promise));
  }
  bool until(std::function<bool()> done) override {
    SteadyTime deadline = world_.now() + 20_s;
    while (!done()) {
      if (!world_.step(deadline)) return false;
    }
    return true;
  }

 private:
  World world_;
  SimNetwork network_;
  SimZooKeeper ensemble_;
  std::vector<Host*> hosts_;
  std::vector<SessionProcess*> clients_;  // owned by their hosts
};

// ---- real

class RealBench final : public SemanticsBench {
 public:
  RealBench() : servers_(3), tasks_("semantics") {}

  SessionNumber open() override {
    failover::ZookeeperOptions options;
    options.servers = servers_.addresses();
    options.sessionTimeout = 4_s;
    options.digest = "muster:secret of the test";
    sessions_.push_back(failover::ZookeeperService(loop_, std::move(options)).open());
    auto& session = *sessions_.back();
    KJ_REQUIRE(until([&] { return session.state() == SessionState::CONNECTED; }));
    return sessions_.size() - 1;
  }
  void in(SessionNumber number, std::function<void(CoordinationSession&)> action) override {
    action(*sessions_.at(number));
  }
  void keep(SessionNumber, kj::Promise<void> promise) override { tasks_.add(kj::mv(promise)); }
  bool until(std::function<bool()> done) override {
    auto deadline = loop_.timer().now() + 20 * kj::SECONDS;
    while (!done()) {
      if (loop_.timer().now() > deadline) return false;
      loop_.timer().afterDelay(2 * kj::MILLISECONDS).wait(loop_.waitScope());
    }
    return true;
  }

 private:
  EventLoop loop_;
  support::ZkServers servers_;
  std::vector<kj::Own<CoordinationSession>> sessions_;
  Tasks tasks_;
};

}  // namespace

kj::Own<SemanticsBench> makeSimulatedBench() { return kj::heap<SimulatedBench>(); }
kj::Own<SemanticsBench> makeRealBench() { return kj::heap<RealBench>(); }

}  // namespace muster::sim
