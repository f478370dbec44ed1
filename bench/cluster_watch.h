// What whoever leads says about its cluster, for benchmarks that may overload it.
#pragma once

#include "bench/cluster.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <optional>

namespace muster::bench {

// One connection to the leader, made again when another leads.
class ClusterWatch {
 public:
  explicit ClusterWatch(Cluster& cluster) : cluster_(cluster) { connect(); }

  ClusterConnection& connection() { return *connection_; }

  // The object `cluster` of the API. Throws when nobody told it for PATIENCE.
  nlohmann::json object() {
    SteadyTime deadline = cluster_.clock.steadyNow() + PATIENCE;
    for (;;) {
      std::optional<nlohmann::json> object;
      auto failed = kj::runCatchingExceptions([&] { object = ask(); });
      if (object) return *object;
      KJ_REQUIRE(cluster_.clock.steadyNow() < deadline, "nobody tells about the cluster",
                 problem_.c_str());
      failed = kj::runCatchingExceptions([&] { connect(); });
    }
  }

 private:
  static constexpr Duration PATIENCE = 20_s;
  static constexpr auto ANSWERED_BY = 5 * kj::SECONDS;

  void connect() {
    cluster_.awaitLeader();
    connection_ = cluster_.connect(cluster_.leader);
  }
  // Nothing when it was refused.
  std::optional<nlohmann::json> ask() {
    auto request = connection_->api.getRequest();
    request.setKind("cluster");
    auto sent = request.send().then([](auto&& response) { return kj::mv(response); });
    auto answer = cluster_.loop.timer()
                      .timeoutAfter(ANSWERED_BY, kj::mv(sent))
                      .wait(cluster_.loop.waitScope());
    auto outcome = answer.getOutcome();
    if (outcome.isJson()) return nlohmann::json::parse(outcome.getJson().cStr());
    problem_ = outcome.getRefusal().getText().cStr();
    return {};
  }

  Cluster& cluster_;
  kj::Own<ClusterConnection> connection_;
  std::string problem_;  // why the last question was refused
};

}  // namespace muster::bench
