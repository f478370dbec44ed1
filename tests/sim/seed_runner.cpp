#include "tests/sim/seed_runner.h"

#include <kj/debug.h>
#include <kj/exception.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::sim {
namespace {

// What a child tells its parent, through a pipe, in one write.
struct Message {
  bool violated = false;
  char checker[128] = {};
  char text[1024] = {};
  int64_t when = 0;
  uint64_t traceHash = 0, events = 0, commands = 0, epochs = 0, accepted = 0, reads = 0;
  int64_t simulated = 0;
  uint64_t hits[FAULT_KINDS] = {};
};
static_assert(sizeof(Message) < 4096, "one write to a pipe must be whole");

template <size_t N>
void copyText(char (&to)[N], const std::string& from) {
  std::strncpy(to, from.c_str(), N - 1);
}

Message messageOf(const RunResult& result) {
  Message message;
  if (result.violation) {
    message.violated = true;
    copyText(message.checker, result.violation->checker);
    copyText(message.text, result.violation->text);
    message.when = result.violation->when.nanos;
  }
  message.traceHash = result.traceHash;
  message.events = result.events;
  message.commands = result.commands;
  message.epochs = result.epochs;
  message.accepted = result.accepted;
  message.reads = result.reads;
  message.simulated = result.simulated.nanos;
  for (size_t i = 0; i < FAULT_KINDS; i++) message.hits[i] = result.hits[i];
  return message;
}

RunResult resultOf(const Message& message) {
  RunResult result;
  if (message.violated) {
    result.violation = Violation{message.checker, message.text, SteadyTime{message.when}};
  }
  result.traceHash = message.traceHash;
  result.events = message.events;
  result.commands = message.commands;
  result.epochs = message.epochs;
  result.accepted = message.accepted;
  result.reads = message.reads;
  result.simulated = Duration{message.simulated};
  for (size_t i = 0; i < FAULT_KINDS; i++) result.hits[i] = message.hits[i];
  return result;
}

[[noreturn]] void runChild(const RunOptions& options, int pipe) {
  int status = 1;
  auto failed = kj::runCatchingExceptions([&] {
    Message message = messageOf(runSimulation(options));
    status = write(pipe, &message, sizeof message) == sizeof message ? 0 : 1;
  });
  KJ_IF_MAYBE (why, failed) {
    std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(options.seed),
                 why->getDescription().cStr());
  }
  std::fflush(nullptr);
  std::exit(status);  // not _exit: the leak checker has its say
}

class Children {
 public:
  void start(const RunOptions& options) {
    int ends[2];
    KJ_SYSCALL(pipe(ends));
    std::fflush(nullptr);
    pid_t pid;
    KJ_SYSCALL(pid = fork());
    if (pid == 0) {
      close(ends[0]);
      runChild(options, ends[1]);
    }
    close(ends[1]);
    running_[pid] = {options.seed, ends[0]};
  }
  size_t count() const { return running_.size(); }

  // The next one to end.
  std::pair<uint64_t, SeedReport> await() {
    int status = 0;
    pid_t pid;
    KJ_SYSCALL(pid = waitpid(-1, &status, 0));
    auto [seed, pipe] = running_.at(pid);
    running_.erase(pid);
    Message message;
    SeedReport report;
    report.crashed = read(pipe, &message, sizeof message) != sizeof message || status != 0;
    close(pipe);
    if (!report.crashed) report.result = resultOf(message);
    return {seed, report};
  }
  void killAll() {
    for (auto& [pid, child] : running_) kill(pid, SIGKILL);
    while (count() > 0) await();
  }

 private:
  struct Child {
    uint64_t seed;
    int pipe;
  };
  std::map<pid_t, Child> running_;
};

}  // namespace

void runSeeds(RunOptions options, uint64_t count, unsigned jobs,
              const std::function<bool(uint64_t seed, const SeedReport&)>& done) {
  Children children;
  uint64_t next = options.seed;
  uint64_t end = options.seed + count;
  while (next < end || children.count() > 0) {
    while (next < end && children.count() < jobs) {
      options.seed = next++;
      children.start(options);
    }
    auto [seed, report] = children.await();
    if (!done(seed, report)) return children.killAll();
  }
}

}  // namespace muster::sim
