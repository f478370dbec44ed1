// A counter in shared memory that processes wait for: a short spin where that pays, then the
// kernel.
#pragma once

#include "base/clock.h"

#include <atomic>
#include <cstdint>

namespace muster::worker {

// How a waiting rank spends its time.
struct Patience {
  const Clock& clock;
  SteadyTime until;
  uint32_t spins = 0;  // looks before it sleeps; 0 where ranks outnumber the cores
};

enum class Waited { REACHED, BROKEN, LATE };

// Counts modulo 2^31, so that a waiter must be less than 2^30 steps behind. All zero bytes are a
// valid new signal. Whoever advances it publishes what it wrote before.
class alignas(64) ShmSignal {
 public:
  void advance();
  // Wakes all waiters, now and for ever.
  void breakUp();
  bool broken() const;
  uint32_t count() const;
  // Waits until the count has reached `target`, modulo 2^31.
  Waited wait(uint32_t target, const Patience& patience);

 private:
  bool reached(uint32_t word, uint32_t target) const;

  std::atomic<uint32_t> word_;      // the count, and BROKEN_BIT: one word, as a futex sees one
  std::atomic<uint32_t> sleepers_;  // so that nobody calls the kernel for nobody
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(sizeof(ShmSignal) == 64);

}  // namespace muster::worker
