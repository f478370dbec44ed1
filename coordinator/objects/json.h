// The JSON of objects: made here once, so that CLI, HTTP and dashboard show the same.
#pragma once

#include "base/units.h"
#include "coordinator/core/observed.h"
#include "coordinator/core/state.h"

#include <nlohmann/json.hpp>

#include <string>

namespace muster::coordinator {

// Keeps its keys in the order in which they were written: as people read them.
using Json = nlohmann::ordered_json;

// What objects are made of. Borrowed for the time of one call.
struct ObjectView {
  const State& state;
  const Observed* observed = nullptr;  // nothing unless this coordinator leads
  Instant now;                         // cluster time, for "in 8s" and "waiting 95s"
};

// {"version":1,"items":[...]}
inline Json listOf(Json items) { return {{"version", 1}, {"items", std::move(items)}}; }

// On one line; bytes of foreign texts that are not UTF-8 are replaced.
inline std::string toText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What a rank said last, when its node is attached and speaks of this very generation.
inline const RankReport* reportOf(const ObjectView& view, const NodeName& node,
                                  const RankRef& rank) {
  if (view.observed == nullptr) return nullptr;
  auto seen = view.observed->nodes.find(node);
  if (seen == view.observed->nodes.end()) return nullptr;
  auto report = seen->second.ranks.find(rank);
  return report == seen->second.ranks.end() ? nullptr : &report->second;
}

}  // namespace muster::coordinator
