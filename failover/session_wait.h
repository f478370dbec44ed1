// Waiting on a session's state.
#pragma once

#include "base/co.h"
#include "failover/coordination.h"

#include <kj/debug.h>

namespace muster::failover {

// Resolves when the session is connected, at once if it is. Throws DISCONNECTED when it has ended.
inline Co<void> whenConnected(CoordinationSession& session) {
  while (session.state() != SessionState::CONNECTED) {
    if (session.state() == SessionState::ENDED) {
      kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the ZooKeeper session ended"));
    }
    co_await session.stateChanged();
  }
}

}  // namespace muster::failover
