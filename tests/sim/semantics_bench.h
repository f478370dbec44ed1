// One small way to use the coordination service, simulated or real, so that one suite of facts can
// be asked of both.
#pragma once

#include "failover/coordination.h"

#include <kj/memory.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace muster::sim {

using SessionNumber = size_t;

class SemanticsBench {
 public:
  virtual ~SemanticsBench() noexcept(false) = default;

  // A new session, connected.
  virtual SessionNumber open() = 0;
  // Runs `action` where the session lives, and then the world until `done`; false when it takes too
  // long. `action` keeps the promises it makes with keep().
  virtual void in(SessionNumber session,
                  std::function<void(failover::CoordinationSession&)> action) = 0;
  virtual void keep(SessionNumber session, kj::Promise<void> promise) = 0;
  virtual bool until(std::function<bool()> done) = 0;

  // ---- made of these

  failover::MultiResult multi(SessionNumber session, std::vector<failover::Op> ops);
  failover::GetResult get(SessionNumber session, std::string path);
  failover::ListResult list(SessionNumber session, std::string path);
  struct Watch {
    failover::ZkCode code = failover::ZkCode::OTHER;
    bool fired = false;
  };
  std::shared_ptr<Watch> watch(SessionNumber session, std::string path);

 private:
  template <class T>
  T ask(SessionNumber session,
        std::function<kj::Promise<T>(failover::CoordinationSession&)> question);
};

kj::Own<SemanticsBench> makeSimulatedBench();
kj::Own<SemanticsBench> makeRealBench();

}  // namespace muster::sim
