// Child processes that may outlive us. Real ones run through the event loop; the simulation has a
// twin.
#pragma once

#include <kj/async.h>
#include <kj/memory.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster {

class EventLoop;

// A process for certain: pids are used again, start times with them are not.
struct ProcessId {
  int32_t pid = 0;
  uint64_t startTicks = 0;  // since boot, field 22 of /proc/PID/stat
  auto operator<=>(const ProcessId&) const = default;
};

struct ExitStatus {
  bool known = false;  // false for an adopted process: only its parent learns how it ended
  int code = 0;
  int signal = 0;  // that ended it; 0: none
  bool operator==(const ExitStatus&) const = default;
  bool success() const { return known && code == 0 && signal == 0; }
};

// "exit code 3", "signal 9 (Killed)", "unknown exit status"
std::string toText(const ExitStatus& status);

enum class Session {
  SHARED,  // dies with our terminal or supervisor's group
  OWN,     // setsid: leads a session and a process group of its own
};

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is looked up in the PATH of `env`
  std::vector<std::string> env;   // complete, "NAME=value"; nothing of ours is inherited
  std::string cwd;                // empty: ours
  std::string stdoutFile;         // appended to, created with mode 0640; empty: /dev/null
  std::string stderrFile;         // may be the same file
  Session session = Session::OWN;
  std::vector<int>
      inheritedFds;  // become 3, 4, ... in the child; everything else of ours is closed there
};

enum class KillScope {
  PROCESS,
  GROUP,  // all of its process group; only for Session::OWN
};

// Dropping it neither kills nor forgets the process: it goes on, and is still reaped.
class ChildProcess {
 public:
  virtual ~ChildProcess() noexcept(false) = default;
  virtual ProcessId id() const = 0;
  // May be called often; every promise gets the same answer.
  virtual kj::Promise<ExitStatus> onExit() = 0;
  // False when it has ended already; never hits another process that got its pid.
  virtual bool kill(int signal, KillScope scope = KillScope::PROCESS) = 0;
};

// Must outlive the handles it gave. The processes themselves go on without it.
class ProcessRunner {
 public:
  virtual ~ProcessRunner() noexcept(false) = default;

  // Throws FAILED saying what could not be started and why. Standard input is /dev/null.
  virtual kj::Own<ChildProcess> spawn(const ProcessSpec& spec) = 0;

  // Watches a process that somebody else started, an earlier agent for instance. Nothing when it
  // has ended or its pid belongs to another process by now.
  virtual kj::Maybe<kj::Own<ChildProcess>> adopt(ProcessId id) = 0;
};

// `loop` must outlive the runner.
kj::Own<ProcessRunner> makeProcessRunner(EventLoop& loop);

// What /proc tells of any process on this machine; nothing when there is none.
struct ProcessStat {
  char state = '?';  // 'R', 'S', ...; 'Z': it has ended and waits for its parent
  uint64_t startTicks = 0;
};
std::optional<ProcessStat> readProcessStat(int32_t pid);

}  // namespace muster
