#include "worker/collective/shm_signal.h"

#include <kj/debug.h>
#include <linux/futex.h>

#include <algorithm>
#include <climits>
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace muster::worker {
namespace {

constexpr uint32_t BROKEN_BIT = 1u << 31;
constexpr uint32_t COUNT_MASK = BROKEN_BIT - 1;
// Should a wake-up ever be lost, this bounds what it costs.
constexpr Duration SLEEP_MAX = 1_s;

void pauseShortly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// std::atomic<uint32_t> is laid out as the integer that a futex is.
uint32_t* futexWord(std::atomic<uint32_t>& word) { return reinterpret_cast<uint32_t*>(&word); }

void sleepWhile(std::atomic<uint32_t>& word, uint32_t value, Duration duration) {
  timespec time{.tv_sec = duration.nanos / 1'000'000'000,
                .tv_nsec = duration.nanos % 1'000'000'000};
  long result = ::syscall(SYS_futex, futexWord(word), FUTEX_WAIT, value, &time, nullptr, 0);
  KJ_REQUIRE(result == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT,
             "waiting for another rank failed", errno);
}

void wakeAll(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, futexWord(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

bool ShmSignal::reached(uint32_t word, uint32_t target) const {
  return ((word - target) & COUNT_MASK) < (1u << 30);
}

uint32_t ShmSignal::count() const { return word_.load(std::memory_order_acquire) & COUNT_MASK; }

bool ShmSignal::broken() const { return (word_.load(std::memory_order_acquire) & BROKEN_BIT) != 0; }

// Sequentially consistent on purpose: either the waiter sees the new word, or we see the sleeper.
void ShmSignal::advance() {
  uint32_t before = word_.load(std::memory_order_relaxed);
  uint32_t after = 0;
  do {
    after = (before & BROKEN_BIT) | ((before + 1) & COUNT_MASK);
  } while (!word_.compare_exchange_weak(before, after, std::memory_order_seq_cst));
  if (sleepers_.load(std::memory_order_seq_cst) > 0) wakeAll(word_);
}

void ShmSignal::breakUp() {
  word_.fetch_or(BROKEN_BIT, std::memory_order_seq_cst);
  wakeAll(word_);
}

Waited ShmSignal::wait(uint32_t target, const Patience& patience) {
  for (uint32_t spin = 0; spin <= patience.spins; ++spin) {
    uint32_t word = word_.load(std::memory_order_acquire);
    if ((word & BROKEN_BIT) != 0) return Waited::BROKEN;
    if (reached(word, target)) return Waited::REACHED;
    pauseShortly();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  Waited outcome = Waited::LATE;
  for (;;) {
    uint32_t word = word_.load(std::memory_order_seq_cst);
    if ((word & BROKEN_BIT) != 0) {
      outcome = Waited::BROKEN;
      break;
    }
    if (reached(word, target)) {
      outcome = Waited::REACHED;
      break;
    }
    Duration left = patience.until - patience.clock.steadyNow();
    if (left.nanos <= 0) break;
    sleepWhile(word_, word, std::min(left, SLEEP_MAX));
  }
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  return outcome;
}

}  // namespace muster::worker
