// The client's side of the simulated coordination service: one session, inside its host.
#pragma once

#include "base/co.h"
#include "base/tasks.h"
#include "tests/sim/sim_coordination.h"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace muster::sim {

class SimSession final : public failover::CoordinationSession {
 public:
  SimSession(SimZooKeeper& ensemble, Host& host);
  ~SimSession() noexcept(false) override;

  kj::Promise<failover::MultiResult> multi(std::vector<failover::Op> ops) override;
  kj::Promise<failover::GetResult> get(std::string path) override;
  kj::Promise<failover::ListResult> list(std::string path) override;
  kj::Promise<failover::WatchResult> watch(std::string path) override;
  int64_t sessionId() const override { return id_; }
  failover::SessionState state() const override { return state_; }
  kj::Promise<void> stateChanged() override;
  failover::SessionHealth health() const override;
  void close() override;

  // Called by the ensemble, inside this host.
  void connected(int64_t session, Duration timeout);
  void expired();
  void broken();
  void heard();
  void fired(const std::string& path);
  void answered(CoordinationReply reply);

 private:
  using Fulfillers = std::vector<kj::Own<kj::PromiseFulfiller<void>>>;
  struct Pending {
    CoordinationRequest request;
    kj::Own<kj::PromiseFulfiller<CoordinationReply>> fulfiller;
    bool sent = false;
  };
  Co<void> run();
  Co<void> tryToConnect();
  kj::Promise<CoordinationReply> ask(RequestKind kind, std::string path,
                                     std::vector<failover::Op> ops);
  void sendPending();
  void nudgeLater(uint64_t id);
  void loseLink();
  void loseLinkLate();
  void fail(Pending& pending, failover::ZkCode code);
  void enter(failover::SessionState state);
  void end();
  void wake();

  SimZooKeeper& ensemble_;
  Host& host_;
  failover::SessionState state_ = failover::SessionState::CONNECTING;
  int64_t id_ = 0;
  int64_t zxidSeen_ = 0;
  uint64_t connects_ = 0;
  uint64_t nextRequest_ = 1;
  SteadyTime lastHeard_;
  kj::Maybe<kj::Own<Link>> link_;
  bool newsUnderWay_ = false;  // the connection is gone, and nobody here has been told yet
  std::deque<Pending> pending_;
  std::map<std::string, Fulfillers> watches_;
  Fulfillers stateWaiters_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiting_;  // of run()
  Tasks tasks_;
};

}  // namespace muster::sim
