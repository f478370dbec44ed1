// Which mistake a program has that is built with MUSTER_PLANTED_BUGS: MUSTER_PLANTED_ALWAYS, or the
// one that the environment names.
#include "base/planted_bug.h"

#include <cstdlib>

bool muster::isPlanted(std::string_view bug) {
#ifdef MUSTER_PLANTED_ALWAYS
  return bug == MUSTER_PLANTED_ALWAYS;
#else
  static const char* const name = std::getenv("MUSTER_PLANTED_BUG");
  return name != nullptr && bug == name;
#endif
}
