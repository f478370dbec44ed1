#include "base/random.h"

#include <kj/debug.h>

#include <sys/random.h>

namespace muster {

uint64_t SystemRandom::next() {
  uint64_t bits = 0;
  ssize_t count = 0;
  // Up to 256 bytes come whole or not at all once the kernel's pool is ready.
  KJ_SYSCALL(count = getrandom(&bits, sizeof(bits), 0));
  KJ_ASSERT(count == sizeof(bits), "getrandom gave fewer bytes than asked", count);
  return bits;
}

}  // namespace muster
