#include "protocol/schema_level.h"

#include <kj/debug.h>
#include <kj/string.h>

// Tests build this file a second time with the next level.
#ifndef MUSTER_SCHEMA_LEVEL
#define MUSTER_SCHEMA_LEVEL 3
#endif

namespace muster {

uint32_t schemaLevelUnderstood() { return MUSTER_SCHEMA_LEVEL; }

void requireUnderstood(uint32_t level, const char* what) {
  if (level <= schemaLevelUnderstood()) return;
  kj::throwFatalException(KJ_EXCEPTION(
      UNIMPLEMENTED,
      kj::str("E0712 ", what, " is of schema level ", level,
              " and this binary understands levels up to ", schemaLevelUnderstood(),
              ": it stops, and nothing is skipped; install the version that the other coordinators "
              "run")));
}

}  // namespace muster
