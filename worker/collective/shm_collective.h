// A communicator of ranks on one host: they exchange through shared memory, without a byte through
// the kernel.
#pragma once

#include "base/clock.h"
#include "worker/collective/collective.h"
#include "worker/collective/membership.h"
#include "worker/collective/shm_board.h"

#include <kj/memory.h>

namespace muster::worker {

// Whether a waiting rank may look again a few times before it sleeps. It pays (2 us against 9 us)
// only where every rank has a core of its own; elsewhere it costs tenfold.
enum class Spinning { SHORTLY, NEVER };

// SHORTLY when `ranksOfHost` do not outnumber the cores that this process may use.
Spinning spinningFor(uint32_t ranksOfHost);

// `board`: of exactly the group's members; by all of them used for this communicator alone.
//
// When a member fails, or its operation does, all members' operations end: the board is broken for
// everybody. A member that was killed says nothing: the others end by the deadline, or as soon as
// somebody who knows calls abort().
kj::Own<Collective> makeShmCollective(Membership group, ShmBoard board, const Clock& clock,
                                      Spinning spinning);

}  // namespace muster::worker
