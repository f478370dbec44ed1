// Stops the threads of another process beside its first: it goes on answering, and computes
// nothing.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <vector>

namespace muster::worker {

// The process must be a descendant of ours, and is killed when this goes. One thread makes and
// destroys it: the kernel knows who traces.
class FrozenThreads {
 public:
  explicit FrozenThreads(pid_t process) : process_(process) {
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
      pid_t thread = std::stoi(task.path().filename().string());
      if (thread != process) freeze(thread);
    }
  }
  ~FrozenThreads() {
    ::kill(process_, SIGKILL);
    // Whoever traces has to take note of each death before the process can be gone.
    for (pid_t thread : threads_) {
      int status = 0;
      while (::waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status)) {
      }
    }
  }
  FrozenThreads(const FrozenThreads&) = delete;
  FrozenThreads& operator=(const FrozenThreads&) = delete;

  size_t count() const { return threads_.size(); }

 private:
  void freeze(pid_t thread) {
    int status = 0;
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr), 0) << errno;
    threads_.push_back(thread);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr), 0) << errno;
    ASSERT_EQ(::waitpid(thread, &status, __WALL), thread) << errno;
    ASSERT_TRUE(WIFSTOPPED(status)) << status;
  }

  pid_t process_;
  std::vector<pid_t> threads_;
};

}  // namespace muster::worker
