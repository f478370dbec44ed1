// When snapshots are written and what is kept.
#pragma once

#include "base/units.h"

#include <cstdint>

namespace muster::coordinator {

struct SnapshotOptions {
  // A snapshot is due when the log has grown by either since the last one.
  uint64_t batches = 10'000;
  Bytes logBytes = 32_MiB;
  Bytes rate = 8_MiB;               // a second, written and then read back
  uint64_t keptBatches = 1000;      // of the log before the current snapshot
  uint64_t keptEvents = 1'000'000;  // indices whose events and audit rows are kept on disk
};

}  // namespace muster::coordinator
