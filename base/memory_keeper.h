// Lets the connections of a large process end at once when it is killed.
#pragma once

#include <optional>
#include <sys/types.h>

namespace muster {

// A process that shares the memory of this one, does nothing, and ends when this one has.
//
// When a process is killed, Linux gives its memory back before it closes its files: 60 ms and more
// for 600 MB in small pages, in which its peers hear nothing of its end. Memory that somebody
// shares is not given back yet, so the files are closed at once. The keeper is in a session of its
// own, so that signals to the process group do not reach it; a kill of the whole control group
// does, and then nothing is won.
class MemoryKeeper {
 public:
  // Call before there is a second thread.
  MemoryKeeper();
  // Ends the keeper, and waits for that.
  ~MemoryKeeper();
  MemoryKeeper(const MemoryKeeper&) = delete;
  MemoryKeeper& operator=(const MemoryKeeper&) = delete;

  // Nothing when the system did not allow it, which costs nothing but that time.
  std::optional<pid_t> process() const { return process_; }

 private:
  void start(void* stack);

  std::optional<pid_t> process_;
  int lifeline_ = -1;  // while it is open, the keeper stays
};

}  // namespace muster
