#include "tests/crash/faulty_program.h"

#include "tests/base/temporary_folder.h"

#include <kj/debug.h>

#include <csignal>
#include <fcntl.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::support {
namespace {

constexpr unsigned DEADLINE_SECONDS = 60;  // SIGALRM ends a program that hangs

void redirect(int fd, const std::string& path) {
  int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(126);
}

[[noreturn]] void become(const FaultyRun& run, const std::string& scratch) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(DEADLINE_SECONDS);
  redirect(1, scratch + "/stdout");
  redirect(2, scratch + "/stderr");
  setenv("LD_PRELOAD", MUSTER_FILE_FAULT, 1);
  setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
  setenv("MUSTER_FAULT_FOLDER", run.folder.c_str(), 1);
  setenv("MUSTER_FAULT", run.fault.c_str(), 1);
  setenv("MUSTER_FAULT_REPORT", (scratch + "/report").c_str(), 1);
  std::string program = MUSTER_CRASH_WRITER;
  std::vector<std::string> arguments = run.arguments;
  std::vector<char*> argv = {program.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  _exit(127);
}

void readReport(const std::string& text, FaultyEnd& end) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("calls ")) {
      end.calls = std::strtoull(line.c_str() + 6, nullptr, 10);
    } else {
      end.struck = line;
    }
  }
}

}  // namespace

FaultyEnd runFaulty(const FaultyRun& run, const std::string& scratch) {
  unlink((scratch + "/report").c_str());
  pid_t pid = 0;
  KJ_SYSCALL(pid = fork());
  if (pid == 0) become(run, scratch);
  int status = 0;
  KJ_SYSCALL(waitpid(pid, &status, 0));
  FaultyEnd end;
  if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
  KJ_REQUIRE(!WIFSIGNALED(status) || WTERMSIG(status) == SIGKILL, "ended by another signal",
             WTERMSIG(status));
  std::istringstream lines(contentOf(scratch + "/stdout"));
  for (uint64_t number = 0; lines >> number;) end.acknowledged.push_back(number);
  end.error = contentOf(scratch + "/stderr");
  readReport(contentOf(scratch + "/report"), end);
  return end;
}

}  // namespace muster::support
