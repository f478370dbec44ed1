// What `epoch` says: who leads, in which history and epoch.
#pragma once

#include "base/ids.h"

#include <cstdint>
#include <string>

namespace muster::failover {

struct EpochView {
  HistoryId history;
  Epoch epoch;
  CoordinatorId leader;  // empty: none yet
  std::string leaderAddress;
  Guid leaderGuid;
  int64_t leaderSession = 0;
  int32_t version = -1;  // of the znode, for check()
  bool operator==(const EpochView&) const = default;
};

}  // namespace muster::failover
