// Chooses the replica of each request and learns from how it went. Pure: time is handed in.
#pragma once

#include "base/random.h"
#include "base/units.h"
#include "gateway/balancer.h"
#include "gateway/metrics.h"
#include "gateway/outlier.h"
#include "gateway/retry_rules.h"
#include "gateway/route_table.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace muster::gateway {

// One generation of a replica, as long as it is routed or something of it is under way.
struct Backend {
  explicit Backend(RoutePointer from) : route(std::move(from)) {}

  RoutePointer route;
  uint32_t outstanding = 0;
  Outlier outlier;
  ReplicaMetrics metrics;
};
using BackendPointer = std::shared_ptr<Backend>;

// One attempt; the backend counts it as outstanding as long as it lives.
class Lease {
 public:
  explicit Lease(BackendPointer backend) : backend_(std::move(backend)) { ++backend_->outstanding; }
  ~Lease() {
    if (backend_) --backend_->outstanding;
  }
  Lease(Lease&& other) noexcept : backend_(std::exchange(other.backend_, nullptr)) {}
  Lease& operator=(Lease&&) = delete;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Backend& backend() const { return *backend_; }
  const BackendPointer& share() const { return backend_; }
  const Route& route() const { return *backend_->route; }

 private:
  BackendPointer backend_;
};

struct Ask {
  std::string model;
  uint64_t prefix = 0;             // hash of the beginning of the prompt
  const Backend* avoid = nullptr;  // has just failed it
};

// Why no replica takes a request.
struct Unavailable {
  enum class Why { NO_MODEL, LOADING, NOWHERE };
  Why why = Why::NO_MODEL;
  std::vector<std::string> near;   // NO_MODEL: names that look like it
  std::string message;             // LOADING, NOWHERE: how the replicas stand
  std::optional<double> progress;  // LOADING: of the one that is furthest, 0 to 1
};

class Dispatcher {
 public:
  // `balance`: for models whose deployments name none. `random` is borrowed.
  Dispatcher(Balance balance, OutlierRules rules, Random& random)
      : balance_(balance), rules_(rules), random_(random) {}

  // The view from now on. What is under way goes on, whatever became of its route.
  void update(std::shared_ptr<const RouteTable> table);
  const RouteTable& table() const { return *table_; }

  std::variant<Lease, Unavailable> choose(const Ask& ask, SteadyTime now);
  // Whether any other replica of the model takes requests.
  bool hasOther(const std::string& model, const std::string& id) const;
  void succeeded(Backend& backend) { backend.outlier.succeeded(); }
  void failed(Backend& backend, Failure failure, SteadyTime now);

  // Every backend that is routed.
  std::vector<BackendPointer> backends() const;

 private:
  using Key = std::pair<std::string, uint64_t>;  // route id, generation

  BackendPointer backendOf(const RoutePointer& route) const;
  std::vector<BackendPointer> candidates(const Model& model, const Ask& ask, SteadyTime now) const;

  Balance balance_;
  OutlierRules rules_;
  Random& random_;
  std::shared_ptr<const RouteTable> table_ = std::make_shared<RouteTable>();
  std::map<Key, BackendPointer> backends_;
  std::map<std::string, uint64_t, std::less<>> turns_;  // by model
};

}  // namespace muster::gateway
