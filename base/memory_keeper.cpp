#include "base/memory_keeper.h"

#include <sched.h>

#include <array>
#include <atomic>
#include <fcntl.h>
#include <new>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster {
namespace {

constexpr size_t STACK_BYTES = 32 << 10;

struct Lifeline {
  int awaited = -1;                  // the end of a pipe whose other end only the kept process has
  std::atomic<bool> settled{false};  // the keeper has a session of its own and no files of ours
};

// Runs beside the kept process in the same memory: even the thread-local storage is that of its
// main thread. So bare system calls only, none of which may fail and leave an errno there.
int keep(void* argument) {
  auto* lifeline = static_cast<Lifeline*>(argument);
  int awaited = lifeline->awaited;
  syscall(SYS_setsid);
  syscall(SYS_prctl, PR_SET_NAME, "memory-keeper");
  // Files of the kept process that were open by now would stay open with us.
  if (awaited > 0) syscall(SYS_close_range, 0, awaited - 1, 0);
  syscall(SYS_close_range, awaited + 1, ~0U, 0);
  lifeline->settled = true;
  char nothing = 0;
  syscall(SYS_read, awaited, &nothing, 1);
  syscall(SYS_exit_group, 0);
  return 0;
}

// Of a process that must neither end by a signal nor run a handler of the other's.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_{};
};

// Waits until a signal to our process group reaches us alone; no, when the keeper died before.
bool settles(pid_t keeper, const Lifeline& lifeline) {
  while (!lifeline.settled) {
    if (waitpid(keeper, nullptr, __WALL | WNOHANG) != 0) return false;
    sched_yield();
  }
  return true;
}

}  // namespace

MemoryKeeper::MemoryKeeper() {
  void* stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return;
  start(stack);
  if (!process_) munmap(stack, STACK_BYTES);
}

void MemoryKeeper::start(void* stack) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return;
  auto* lifeline = new (stack) Lifeline;  // at the far end of where the stack grows to
  lifeline->awaited = ends[0];
  NoSignals inherited;
  // No signal tells of its end, which comes after ours.
  pid_t keeper = clone(keep, static_cast<char*>(stack) + STACK_BYTES, CLONE_VM, lifeline);
  close(ends[0]);
  if (keeper > 0 && settles(keeper, *lifeline)) {
    process_ = keeper;
    lifeline_ = ends[1];
  } else {
    close(ends[1]);
  }
}

MemoryKeeper::~MemoryKeeper() {
  if (!process_) return;
  close(lifeline_);
  waitpid(*process_, nullptr, __WALL);
}

}  // namespace muster
