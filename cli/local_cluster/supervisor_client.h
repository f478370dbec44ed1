// Talks to the supervisor of a local cluster, if one runs.
#pragma once

#include "base/event_loop.h"
#include "base/rpc.h"
#include "cli/local_cluster/layout.h"
#include "protocol/supervisor.capnp.h"

#include <kj/async.h>
#include <kj/common.h>

namespace muster::cli {

// Nothing when no supervisor listens there.
kj::Promise<kj::Maybe<kj::Own<RpcConnection>>> findSupervisor(EventLoop& loop,
                                                              const LocalLayout& layout);

inline schema::Supervisor::Client supervisorOf(RpcConnection& connection) {
  return connection.bootstrap<schema::Supervisor>();
}

}  // namespace muster::cli
