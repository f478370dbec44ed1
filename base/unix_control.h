// Control sockets between processes of one user on one machine: no TLS, but the folder is closed to
// others and the kernel says who is at the other end.
#pragma once

#include "base/transport.h"

#include <kj/async-io.h>
#include <kj/function.h>

#include <string>

namespace muster {

// The folder of `path` must belong to us with mode 0700, and peers must run under our user; others
// are hung up on before `accept` hears of them. A socket that an earlier process left at `path` is
// replaced, and ours is removed with the listener. `path`: 107 bytes at most. Throws FAILED saying
// what is wrong with the folder or path.
//
// Connections from here carry PeerIdentity{WORKER, "local"}: a process of this node, nothing more
// is proven.
kj::Promise<kj::Own<Listener>> listenUnix(kj::Network& network, std::string path,
                                          kj::Function<void(kj::Own<Connection>)> accept);

// Throws DISCONNECTED when nobody listens there, FAILED when it is not our user or the folder is
// open to others.
kj::Promise<kj::Own<Connection>> connectUnix(kj::Network& network, std::string path);

}  // namespace muster
