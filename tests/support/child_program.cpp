#include "tests/support/child_program.h"

#include <kj/debug.h>

#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::support {

pid_t spawnProgram(const std::string& name, std::vector<std::string> arguments,
                   const std::string& output) {
  std::string program = std::string(MUSTER_BINARY_DIR) + "/" + name;
  std::vector<char*> argv = {program.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  KJ_SYSCALL(pid = fork());
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int fd = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(fd, 1);
  dup2(fd, 2);
  execv(program.c_str(), argv.data());
  _exit(127);
}

bool hasEnded(pid_t pid) {
  siginfo_t info{};
  KJ_SYSCALL(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT));
  return info.si_pid == pid;
}

ProcessEnd awaitEnd(pid_t pid) {
  int status = 0;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  ProcessEnd end;
  if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

}  // namespace muster::support
