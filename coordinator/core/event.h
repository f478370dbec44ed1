// What happened, for people: made by apply, kept by the store in log order.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <string>

namespace muster::coordinator {

enum class Severity : uint8_t { INFO, WARNING, ERROR };

struct Event {
  LogIndex index;        // of the command that caused it
  uint32_t ordinal = 0;  // among the events of that command
  Instant at;
  WallTime wall;
  Severity severity = Severity::INFO;
  std::string type;    // "Ready", "Placed", "NodeLost", "Rollout": one word
  std::string object;  // "chat-70b/1", "node gpu03"
  std::string tenant;  // empty for nodes and the cluster
  std::string message;
  std::string principal;
  bool operator==(const Event&) const = default;
};

}  // namespace muster::coordinator
