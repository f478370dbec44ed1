// Our durations as kj's, and deadlines that say what was waited for.
#pragma once

#include "base/units.h"

#include <kj/async.h>
#include <kj/debug.h>
#include <kj/timer.h>

#include <string>
#include <utility>

namespace muster {

inline kj::Duration toKj(Duration duration) { return duration.nanos * kj::NANOSECONDS; }

// `promise`, or OVERLOADED "WHAT took longer than DEADLINE" after `deadline`; then `promise` is
// dropped.
template <class T>
kj::Promise<T> withDeadline(kj::Timer& timer, Duration deadline, std::string what,
                            kj::Promise<T> promise) {
  auto late =
      timer.afterDelay(toKj(deadline)).then([deadline, what = std::move(what)]() -> kj::Promise<T> {
        return KJ_EXCEPTION(OVERLOADED,
                            kj::str(what.c_str(), " took longer than ", toText(deadline).c_str()));
      });
  return promise.exclusiveJoin(kj::mv(late));
}

}  // namespace muster
