// The coordination service over ZooKeeper's single-threaded C client, on the event loop. Nothing
// here blocks it.
#pragma once

#include "base/event_loop.h"
#include "failover/coordination.h"

#include <string>
#include <vector>

namespace muster::failover {

struct ZookeeperOptions {
  std::vector<std::string>
      servers;  // "10.0.0.1:2181"; IP addresses only: names would block the loop
  Duration sessionTimeout =
      1_s;             // the service rounds it up to ticks and clamps it to 2..20 of them
  std::string digest;  // "user:password"; every node is readable and writable by this identity only
};

class ZookeeperService final : public CoordinationService {
 public:
  // Throws FAILED when a server is no IP address with a port or the digest is no "user:password".
  ZookeeperService(EventLoop& loop, ZookeeperOptions options);
  ~ZookeeperService() noexcept(false) override;

  // The session must be destroyed before the loop. Destroying it ends it without waiting for an
  // answer.
  kj::Own<CoordinationSession> open() override;

 private:
  EventLoop& loop_;
  ZookeeperOptions options_;
};

}  // namespace muster::failover
