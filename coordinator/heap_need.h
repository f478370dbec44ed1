// How much heap the ZooKeeper servers need for our log and snapshots, all of which they hold in
// memory, and how much they have. A server that runs out of it stops serving everybody, so too
// little is refused at start.
#pragma once

#include "base/result.h"
#include "base/units.h"
#include "coordinator/snapshot_options.h"

#include <kj/async-io.h>
#include <kj/timer.h>

#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

struct HeapNeed {
  Bytes log;        // at its longest: what may grow before a snapshot, and what is kept before it
  Bytes snapshots;  // the current one and the one being written
  Bytes heap;       // of a server, so that these fit
};

// `state`: bytes of all records now.
HeapNeed heapNeed(const SnapshotOptions& options, Bytes state);

// The heap that the answer to `envi` tells ("os.memory.max=247MB"); nothing when it does not.
std::optional<Bytes> heapIn(const std::string& environment);

// Asks a server for its environment. Nothing when it cannot be reached, does not answer within half
// a second, or may not tell (`envi` is not among its allowed commands).
kj::Promise<kj::Maybe<Bytes>> askHeap(kj::Network& network, kj::Timer& timer,
                                      const std::string& server);

// What to say of a server with too little; nothing when it has enough.
std::optional<Refusal> judgeHeap(const std::string& server, Bytes heap, const HeapNeed& need);

}  // namespace muster::coordinator
