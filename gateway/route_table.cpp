#include "gateway/route_table.h"

#include <utility>

namespace muster::gateway {

RouteTable::Taken RouteTable::judge(const ViewPosition& position) const {
  if (!position_) return Taken::YES;
  const HistoryId& ours = position_->history;
  if (position.history.number != ours.number) {
    return position.history.number > ours.number ? Taken::YES : Taken::OLD;
  }
  if (position.history.guid != ours.guid) return Taken::FOREIGN;
  return position.index >= position_->index ? Taken::YES : Taken::OLD;
}

// The routes are moved out of it, which the check does not see.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
RouteTable::Taken RouteTable::take(RouteEvent event) {
  Taken taken = judge(event.position);
  if (taken != Taken::YES) return taken;
  if (event.kind == RouteEvent::Kind::SNAPSHOT) routes_.clear();
  for (const auto& id : event.removed) routes_.erase(id);
  for (auto& [id, route] : event.changed) {
    routes_[id] = std::make_shared<const Route>(std::move(route));
  }
  position_ = event.position;
  index();
  return taken;
}

const Model* RouteTable::find(std::string_view name) const {
  auto found = models_.find(name);
  return found == models_.end() ? nullptr : &found->second;
}

std::vector<std::string> RouteTable::names() const {
  std::vector<std::string> names;
  names.reserve(models_.size());
  for (const auto& [name, model] : models_) names.push_back(name);
  return names;
}

void RouteTable::index() {
  models_.clear();
  auto add = [&](const std::string& name, const RoutePointer& route) {
    Model& model = models_[name];
    if (model.routes.empty()) {
      model.name = name;
      model.balance = route->balance;
    } else if (model.balance != route->balance) {
      model.balance.reset();
    }
    model.routes.push_back(route);
  };
  for (const auto& [id, route] : routes_) add(route->model, route);
  // A deployment's own name wins over somebody's alias.
  auto own = models_;
  for (const auto& [id, route] : routes_) {
    for (const auto& alias : route->aliases) {
      if (!own.contains(alias)) add(alias, route);
    }
  }
}

}  // namespace muster::gateway
