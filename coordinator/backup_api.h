// A backup on its way to a client: opened by a call, read piece by piece through a capability.
#pragma once

#include "coordinator/api.h"
#include "coordinator/backup_stream.h"
#include "protocol/coordinator.capnp.h"

namespace muster::coordinator {

enum class Freshness { PROVEN, STALE };

struct OpenedBackup {
  Answer answer;  // what it is of, as JSON
  kj::Own<BackupStream> stream;
};

// PROVEN: of everything acknowledged before the call came; the leader's. STALE: of what is in this
// coordinator's store. Refuses NOT_LEADER, and STORE_UNREACHABLE when this store was never claimed.
kj::Promise<Result<OpenedBackup>> openBackup(ApiContext& context, ApiCall call,
                                             Freshness freshness);

// The capability to read it. The view of the store is let go when it is over, when the client drops
// it, and after ten minutes.
schema::Backup::Client serveBackup(kj::Own<BackupStream> stream, const CoordinatorEnvironment& env,
                                   const PeerIdentity& caller);

}  // namespace muster::coordinator
