// A communicator of ranks on several hosts: every rank exchanges with every other one directly.
#pragma once

#include "base/clock.h"
#include "worker/collective/collective.h"
#include "worker/collective/membership.h"
#include "worker/collective/shm_collective.h"
#include "worker/collective/tcp_mesh.h"

#include <kj/memory.h>

#include <cstdint>

namespace muster::worker {

// `mesh`: has a connection to every other member; outlives the result. `communicator`: tells the
// communicators of one mesh apart, the same number at all members.
//
// A small sum goes whole to everybody, one round; a large one in two rounds, by parts, in which
// each rank sends and receives 2 (n-1)/n of the message, as in a ring. Recursive doubling and rings
// would save messages in large groups, but add in an order of their own: a group that meets again
// over shared memory would compute other bits.
kj::Own<Collective> makeTcpCollective(Membership group, uint32_t communicator, TcpMesh& mesh,
                                      const Clock& clock, Spinning spinning);

}  // namespace muster::worker
