// Routes and events made up for tests.
#pragma once

#include "gateway/route_table.h"

#include <memory>
#include <string>
#include <vector>

namespace muster::gateway {

inline const HistoryId HISTORY{3, {0x11, 0x22}};

inline ViewPosition at(uint64_t index) { return {HISTORY, {index}}; }

// "chat", 0: a ready replica default/chat/0 of generation 1.
inline Route route(const std::string& deployment, uint32_t replica) {
  Route out;
  out.id = "default/" + deployment + "/" + std::to_string(replica);
  out.deployment = deployment;
  out.model = deployment;
  out.generation = 1;
  out.node = "w1";
  out.address = "http://127.0.0.1:" + std::to_string(8000 + replica);
  out.state = "Ready";
  return out;
}

inline RouteEvent snapshot(uint64_t index, const std::vector<Route>& routes) {
  RouteEvent event{RouteEvent::Kind::SNAPSHOT, at(index), {}, {}};
  for (const auto& one : routes) event.changed[one.id] = one;
  return event;
}

inline RouteEvent change(uint64_t index, const std::vector<Route>& routes,
                         std::vector<std::string> removed = {}) {
  RouteEvent event = snapshot(index, routes);
  event.kind = RouteEvent::Kind::CHANGE;
  event.removed = std::move(removed);
  return event;
}

inline std::shared_ptr<const RouteTable> tableOf(const std::vector<Route>& routes,
                                                 uint64_t index = 1) {
  auto table = std::make_shared<RouteTable>();
  table->take(snapshot(index, routes));
  return table;
}

}  // namespace muster::gateway
