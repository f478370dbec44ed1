// Waiting on a session's state, and the answers that end all waiting.
#pragma once

#include "base/co.h"
#include "failover/coordination.h"

#include <kj/debug.h>
#include <kj/time.h>

#include <string>

namespace muster::failover {

// After which whoever waits for a watch looks again by itself, in case the watch was lost.
constexpr auto SECOND_LOOK = 5 * kj::SECONDS;

[[noreturn]] inline void throwSessionEnded() {
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the ZooKeeper session ended"));
  KJ_UNREACHABLE;
}

// For answers that no caller can use. Throws DISCONNECTED at the end of the session, and FAILED
// for a lack of rights at `path`.
inline void requireUsable(ZkCode code, const std::string& path) {
  if (code == ZkCode::SESSION_ENDED) throwSessionEnded();
  KJ_REQUIRE(code != ZkCode::NO_AUTH, "the digest for ZooKeeper is not this cluster's",
             path.c_str());
}

// Resolves when the session is connected, at once if it is. Throws DISCONNECTED when it has ended.
inline Co<void> whenConnected(CoordinationSession& session) {
  while (session.state() != SessionState::CONNECTED) {
    if (session.state() == SessionState::ENDED) throwSessionEnded();
    co_await session.stateChanged();
  }
}

}  // namespace muster::failover
