#include "gateway/dispatcher.h"

#include "base/did_you_mean.h"

#include <algorithm>

namespace muster::gateway {
namespace {

constexpr size_t NEAR_MAX = 3;
constexpr size_t ASKED_MAX = 256;  // nothing is near to a longer one

// The nearest names first; all there are when there are few and none is near.
std::vector<std::string> nearNames(const RouteTable& table, const std::string& asked) {
  std::vector<std::string> names = table.names();
  std::vector<std::string> near;
  if (asked.size() > ASKED_MAX) return near;
  while (near.size() < NEAR_MAX) {
    auto found = nearestWord(asked, names);
    if (!found) break;
    near.push_back(*found);
    std::erase(names, *found);
  }
  if (near.empty() && names.size() <= NEAR_MAX) near = names;
  return near;
}

// The replica that will be there first speaks for all.
Unavailable standingOf(const Model& model) {
  Unavailable no{.why = Unavailable::Why::NOWHERE};
  std::string texts;
  for (const auto& route : model.routes) {
    bool comes = route->state == "Pending" || route->state == "Fetching" ||
                 route->state == "Loading" || route->state == "Joining" ||
                 route->state == "Warming";
    if (comes) no.why = Unavailable::Why::LOADING;
    if (comes && route->progress.value_or(0) >= no.progress.value_or(0)) {
      no.progress = route->progress;
    }
    texts += (texts.empty() ? "" : "; ") + route->id + " " + route->state;
    if (route->state == "Ready") texts += " but has told no address";
    if (!route->message.empty()) texts += ": " + route->message;
  }
  no.message = texts;
  return no;
}

}  // namespace

void Dispatcher::update(std::shared_ptr<const RouteTable> table) {
  table_ = std::move(table);
  std::map<Key, BackendPointer> kept;
  for (const auto& [id, route] : table_->routes()) {
    Key key{id, route->generation};
    auto known = backends_.find(key);
    BackendPointer backend = known != backends_.end() ? known->second : nullptr;
    if (!backend) backend = std::make_shared<Backend>(route);
    backend->route = route;
    kept.emplace(std::move(key), std::move(backend));
  }
  backends_ = std::move(kept);
  std::erase_if(turns_, [&](const auto& turn) { return table_->find(turn.first) == nullptr; });
}

BackendPointer Dispatcher::backendOf(const RoutePointer& route) const {
  return backends_.at({route->id, route->generation});
}

// Those that are well, without the one to avoid. Where that leaves none, one that is ill is better
// than none, and at last the one to avoid.
std::vector<BackendPointer> Dispatcher::candidates(const Model& model, const Ask& ask,
                                                   SteadyTime now) const {
  std::vector<BackendPointer> well;
  std::vector<BackendPointer> ill;
  BackendPointer avoided;
  for (const auto& route : model.routes) {
    if (!route->takesRequests()) continue;
    BackendPointer backend = backendOf(route);
    if (backend.get() == ask.avoid) {
      avoided = backend;
    } else {
      (backend->outlier.isEjected(now) ? ill : well).push_back(backend);
    }
  }
  if (!well.empty()) return well;
  if (!ill.empty()) return ill;
  return avoided ? std::vector{avoided} : std::vector<BackendPointer>{};
}

std::variant<Lease, Unavailable> Dispatcher::choose(const Ask& ask, SteadyTime now) {
  const Model* model = table_->find(ask.model);
  if (model == nullptr) {
    return Unavailable{.why = Unavailable::Why::NO_MODEL, .near = nearNames(*table_, ask.model)};
  }
  auto able = candidates(*model, ask, now);
  if (able.empty()) return standingOf(*model);
  std::vector<Candidate> views;
  views.reserve(able.size());
  for (const auto& one : able) {
    views.push_back({one->route->id, one->route->weight, one->outstanding});
  }
  uint64_t number = turns_[model->name]++;
  size_t chosen =
      pickReplica(model->balance.value_or(balance_), views, {number, ask.prefix, random_});
  return Lease(able[chosen]);
}

bool Dispatcher::hasOther(const std::string& model, const std::string& id) const {
  const Model* found = table_->find(model);
  return found != nullptr && std::ranges::any_of(found->routes, [&](const RoutePointer& route) {
           return route->id != id && route->takesRequests();
         });
}

void Dispatcher::failed(Backend& backend, Failure failure, SteadyTime now) {
  if (isFault(failure)) backend.outlier.failed(rules_, now);
}

std::vector<BackendPointer> Dispatcher::backends() const {
  std::vector<BackendPointer> all;
  all.reserve(backends_.size());
  for (const auto& [key, backend] : backends_) all.push_back(backend);
  return all;
}

}  // namespace muster::gateway
