#include "base/process.h"

#include "base/event_loop.h"
#include "base/uv_bridge.h"

#include <kj/debug.h>
#include <kj/io.h>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace muster {
namespace {

constexpr mode_t LOG_FILE_MODE = 0640;

// A fact that many wait for, and that stays known.
class ExitEvent {
 public:
  ExitEvent() : ExitEvent(kj::newPromiseAndFulfiller<ExitStatus>()) {}
  void happen(ExitStatus status) {
    over_ = true;
    fulfiller_->fulfill(kj::mv(status));
  }
  bool over() const { return over_; }
  kj::Promise<ExitStatus> wait() { return fork_.addBranch(); }

 private:
  explicit ExitEvent(kj::PromiseFulfillerPair<ExitStatus> pair)
      : fulfiller_(kj::mv(pair.fulfiller)), fork_(pair.promise.fork()) {}
  kj::Own<kj::PromiseFulfiller<ExitStatus>> fulfiller_;
  kj::ForkedPromise<ExitStatus> fork_;
  bool over_ = false;
};

// Shared by the runner, which reaps, and by the handle that the caller may drop.
struct Child : public kj::Refcounted {
  uv_process_t process{};
  ProcessId id;
  ExitEvent exit;
  bool leadsGroup = false;
};

class SpawnedProcess final : public ChildProcess {
 public:
  explicit SpawnedProcess(kj::Own<Child> child) : child_(kj::mv(child)) {}
  ProcessId id() const override { return child_->id; }
  kj::Promise<ExitStatus> onExit() override { return child_->exit.wait(); }

  bool kill(int signal, KillScope scope) override {
    // Until we reap it the pid stays its own, even when it has ended.
    if (child_->exit.over()) return false;
    bool group = scope == KillScope::GROUP;
    KJ_REQUIRE(!group || child_->leadsGroup, "the process leads no group", child_->id.pid);
    return ::kill(group ? -child_->id.pid : child_->id.pid, signal) == 0;
  }

 private:
  kj::Own<Child> child_;
};

// A process of another parent, seen through a pidfd: readable once it has ended, and never another
// process.
class AdoptedProcess final : public ChildProcess {
 public:
  AdoptedProcess(EventLoop& loop, ProcessId id, kj::AutoCloseFd pidFd)
      : id_(id), pidFd_(kj::mv(pidFd)), watcher_(loop.newFdWatcher([this](FdEvents) { ended(); })) {
    watcher_->watch(pidFd_, {.readable = true});
  }
  ~AdoptedProcess() noexcept(false) override { watcher_->stop(); }

  ProcessId id() const override { return id_; }
  kj::Promise<ExitStatus> onExit() override { return exit_.wait(); }
  bool kill(int signal, KillScope scope) override {
    if (syscall(SYS_pidfd_send_signal, pidFd_.get(), scope == KillScope::GROUP ? 0 : signal,
                nullptr, 0) != 0) {
      return false;
    }
    return scope == KillScope::PROCESS || ::kill(-id_.pid, signal) == 0;
  }

 private:
  void ended() {
    watcher_->stop();
    exit_.happen(ExitStatus{});
  }

  ProcessId id_;
  kj::AutoCloseFd pidFd_;
  ExitEvent exit_;
  kj::Own<FdWatcher> watcher_;
};

// Descriptors of libraries that forgot FD_CLOEXEC must not live on in ranks, which outlive us.
void closeAllOnExec() {
#ifndef CLOSE_RANGE_CLOEXEC
  constexpr unsigned CLOSE_RANGE_CLOEXEC = 4;
#endif
  KJ_SYSCALL(syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC));
}

kj::AutoCloseFd openOutput(const std::string& path) {
  const char* file = path.empty() ? "/dev/null" : path.c_str();
  int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, LOG_FILE_MODE);
  if (fd < 0) KJ_FAIL_SYSCALL("open(output of a child process)", errno, file);
  return kj::AutoCloseFd(fd);
}

// Pointers into `texts`, ended by a null pointer, as exec wants them.
std::vector<char*> pointersInto(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

uv_stdio_container_t inherit(int fd) {
  uv_stdio_container_t stdio{};
  stdio.flags = fd < 0 ? UV_IGNORE : UV_INHERIT_FD;
  stdio.data.fd = fd;
  return stdio;
}

class UvProcessRunner final : public ProcessRunner {
 public:
  explicit UvProcessRunner(EventLoop& loop) : loop_(loop), bridge_(loop.bridge()) {}
  ~UvProcessRunner() noexcept(false) override {
    for (auto& [pid, child] : children_) release(kj::mv(child));
  }

  kj::Own<ChildProcess> spawn(const ProcessSpec& spec) override {
    KJ_REQUIRE(!spec.argv.empty(), "a process needs a program");
    auto child = kj::refcounted<Child>();
    child->process.data = this;
    child->leadsGroup = spec.session == Session::OWN;
    int result = start(*child, spec);
    if (result < 0) {
      release(kj::mv(child));
      KJ_FAIL_REQUIRE("cannot start the program", spec.argv[0].c_str(), uv_strerror(result));
    }
    child->id.pid = child->process.pid;
    // There even if it has ended already: nobody but us reaps it.
    child->id.startTicks = readProcessStat(child->id.pid).value_or(ProcessStat{}).startTicks;
    auto handle = kj::heap<SpawnedProcess>(kj::addRef(*child));
    children_.emplace(child->id.pid, kj::mv(child));
    return handle;
  }

  kj::Maybe<kj::Own<ChildProcess>> adopt(ProcessId id) override {
    int fd = static_cast<int>(syscall(SYS_pidfd_open, id.pid, 0));
    if (fd < 0) return nullptr;
    kj::AutoCloseFd pidFd(fd);
    // Read after the descriptor was opened: both speak of one process or the times differ.
    auto stat = readProcessStat(id.pid);
    if (!stat || stat->state == 'Z' || stat->startTicks != id.startTicks) return nullptr;
    return kj::Own<ChildProcess>(kj::heap<AdoptedProcess>(loop_, id, kj::mv(pidFd)));
  }

 private:
  int start(Child& child, const ProcessSpec& spec) {
    auto output = openOutput(spec.stdoutFile);
    auto errors = openOutput(spec.stderrFile);
    auto argv = spec.argv;
    auto env = spec.env;
    auto argvPointers = pointersInto(argv);
    auto envPointers = pointersInto(env);
    std::vector<uv_stdio_container_t> stdio{inherit(-1), inherit(output), inherit(errors)};
    for (int fd : spec.inheritedFds) stdio.push_back(inherit(fd));
    uv_process_options_t options{};
    options.file = argvPointers[0];
    options.args = argvPointers.data();
    options.env = envPointers.data();
    options.cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str();
    options.stdio = stdio.data();
    options.stdio_count = static_cast<int>(stdio.size());
    options.flags = spec.session == Session::OWN ? UV_PROCESS_DETACHED : 0;
    options.exit_cb = onExit;
    closeAllOnExec();
    int result = uv_spawn(bridge_.loop(), &child.process, &options);
    bridge_.kick();
    return result;
  }

  static void onExit(uv_process_t* process, int64_t code, int signal) noexcept {
    auto self = static_cast<UvProcessRunner*>(process->data);
    auto found = self->children_.find(process->pid);
    auto child = kj::mv(found->second);
    self->children_.erase(found);
    child->exit.happen({.known = true, .code = static_cast<int>(code), .signal = signal});
    self->release(kj::mv(child));
  }

  // libuv needs the memory of its handle until that is closed.
  void release(kj::Own<Child> child) {
    auto process = kj::Own<uv_process_t>(&child->process, kj::NullDisposer::instance);
    bridge_.close(process.attach(kj::mv(child)));
  }

  EventLoop& loop_;
  UvBridge& bridge_;
  std::map<int, kj::Own<Child>> children_;  // by pid; those not yet reaped
};

}  // namespace

kj::Own<ProcessRunner> makeProcessRunner(EventLoop& loop) {
  return kj::heap<UvProcessRunner>(loop);
}

}  // namespace muster
