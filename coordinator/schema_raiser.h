// Raises the cluster's schema level once every configured coordinator has reported, without a break
// for a while, that it understands a higher one. Until then a downgrade works; from then on a
// binary below the level does not start. Runs on the leader.
#pragma once

#include "base/co.h"
#include "coordinator/driver.h"
#include "coordinator/environment.h"
#include "coordinator/objects/cluster.h"

#include <kj/async.h>

#include <optional>
#include <vector>

namespace muster::coordinator {

// Which level to raise the state to, and when; pure.
class SchemaAgreement {
 public:
  explicit SchemaAgreement(Duration quietTime) : quietTime_(quietTime) {}

  // The level to raise to now; nothing while a coordinator cannot be asked, while one understands
  // no more than the state's level, or while they have agreed for less than the quiet time.
  // `reports` has a row of each configured coordinator; no rows mean that nobody knows them.
  std::optional<uint32_t> take(uint32_t stateLevel, const std::vector<CoordinatorView>& reports,
                               SteadyTime now);

 private:
  Duration quietTime_;
  uint32_t agreed_ = 0;
  SteadyTime agreedSince_;
};

class SchemaRaiser {
 public:
  struct Parts {
    const CoordinatorEnvironment& env;
    const CoordinatorSettings& settings;
    Driver& driver;
  };
  explicit SchemaRaiser(Parts parts);

  // Never resolves. Asks nobody while the state is at the level that this binary understands.
  kj::Promise<void> run();

 private:
  Co<void> runCo();
  Co<void> lookOnce();
  kj::Promise<CoordinatorView> report(const PeerAddress& peer);

  Parts parts_;
  SchemaAgreement agreement_;
};

}  // namespace muster::coordinator
