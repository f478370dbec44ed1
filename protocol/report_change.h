// What a report says that an earlier one did not. A heartbeat tells no more than this once the
// coordinator keeps an earlier report of the same connection.
#pragma once

#include "protocol/order.h"
#include "protocol/worker.capnp.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster {

struct ReportChange {
  uint64_t sequence = 0;
  uint64_t base = 0;              // sequence of the report it is told against
  std::vector<RankReport> ranks;  // those that are new or differ
  std::vector<RankRef> gone;
  std::optional<OrderStamp> obeyed;
  std::optional<std::map<DeviceIndex, std::string>> unhealthy;  // all of them, when any differs
  bool operator==(const ReportChange&) const = default;
};

// Ranks of one report have different refs.
ReportChange changeBetween(const NodeReport& base, const NodeReport& now);

// Makes `ranks`, those of the base, what they are after the change; by ref. A rank that is gone and
// was not there is no error.
void takeRanks(std::vector<RankReport>& ranks, ReportChange change);

void encode(const ReportChange& value, schema::NodeReport::Builder out);
// For reports with a base; throws FAILED as decode() does.
ReportChange decodeChange(schema::NodeReport::Reader in);

// Whether all is as it was in the report's base. Reads a few words and allocates nothing: nearly
// all heartbeats are like this.
bool saysNothingNew(schema::NodeReport::Reader in);

}  // namespace muster
