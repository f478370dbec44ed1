// One replica of a model as the coordinators tell of it.
#pragma once

#include "base/ids.h"
#include "protocol/balance.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster::gateway {

struct Route {
  std::string id;          // "default/chat/0"; one generation of it at a time
  std::string deployment;  // "chat": what its ranks call the model
  std::string model;       // "chat" or "search/ranker": what clients call it
  std::vector<std::string> aliases;
  std::optional<Balance> balance;  // nothing: as the gateway is configured
  uint64_t generation = 0;
  std::string node;     // of the first rank
  std::string address;  // "https://10.0.0.3:41005"; empty: it has told none
  uint32_t weight = 1;  // at least 1
  std::string state;    // "Ready", "Loading", "Unreachable"
  std::string message;
  std::optional<double> progress;  // 0 to 1
  bool operator==(const Route&) const = default;

  bool takesRequests() const { return state == "Ready" && !address.empty(); }
};

// Which log a view is of, and up to where.
struct ViewPosition {
  HistoryId history;
  LogIndex index;
  bool operator==(const ViewPosition&) const = default;
};

}  // namespace muster::gateway
