// A library to preload into a program under test: it fails, cuts short or kills at the n-th call
// that changes a file below one folder.
//
//   MUSTER_FAULT_FOLDER   only files below it count
//   MUSTER_FAULT          "KIND N": at the N-th call (of any kind; of its own kind for the errors)
//     kill        the process ends by SIGKILL instead of the call
//     torn        as kill, but half of what a write was given is written first
//     power       as kill, and what was not flushed is cut off each file's end, by a length of
//     chance write_eio   that write fails with EIO, once sync_eio    that flush fails with EIO,
//     once full        that write and all later ones fail with ENOSPC short       every write from
//     there on takes half of what it is given, as a write may
//   MUSTER_FAULT_REPORT   a file: one line when the fault strikes ("write PATH"), and
//                         "calls N" of the changing calls when the program ends by itself
#include <dlfcn.h>
#include <limits.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <signal.h>
#include <string>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

template <class Function>
Function* original(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

using WriteCall = ssize_t(int, const void*, size_t);
using PositionedWriteCall = ssize_t(int, const void*, size_t, off_t);
using SyncCall = int(int);

std::string variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

std::string pathOf(int fd) {
  char link[64];
  char target[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

enum class Kind { NONE, KILL, TORN, POWER, WRITE_EIO, SYNC_EIO, FULL, SHORT };

Kind kindNamed(const std::string& name) {
  const std::map<std::string, Kind> KINDS = {
      {"kill", Kind::KILL},           {"torn", Kind::TORN},         {"power", Kind::POWER},
      {"write_eio", Kind::WRITE_EIO}, {"sync_eio", Kind::SYNC_EIO}, {"full", Kind::FULL},
      {"short", Kind::SHORT}};
  auto found = KINDS.find(name);
  return found == KINDS.end() ? Kind::NONE : found->second;
}

// What a call shall do instead of its work.
struct Verdict {
  int error = 0;       // not 0: fail with it
  bool halve = false;  // take half of what is given
  bool killAfter = false;
};

class Faults {
 public:
  Faults() : folder_(variable("MUSTER_FAULT_FOLDER")), report_(variable("MUSTER_FAULT_REPORT")) {
    std::string fault = variable("MUSTER_FAULT");
    size_t space = fault.find(' ');
    kind_ = kindNamed(fault.substr(0, space));
    if (space != std::string::npos) at_ = std::strtoull(fault.c_str() + space, nullptr, 10);
  }
  ~Faults() { say("calls " + std::to_string(calls_)); }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  bool covers(const std::string& path) const {
    return !folder_.empty() && path.compare(0, folder_.size(), folder_) == 0;
  }

  Verdict beforeWrite(const std::string& path) {
    std::lock_guard<std::mutex> lock(mutex_);
    flushed_.try_emplace(path, 0);
    countAndMaybeDie("write", path);
    Verdict verdict;
    uint64_t write = ++writes_;
    if (kind_ == Kind::WRITE_EIO && write == at_) verdict.error = struck("write", path, EIO);
    if (kind_ == Kind::FULL && write >= at_) verdict.error = struck("write", path, ENOSPC);
    if (kind_ == Kind::SHORT && write >= at_) {
      struck("write", path, 0);
      verdict.halve = true;
    }
    if (kind_ == Kind::TORN && calls_ == at_) verdict.halve = verdict.killAfter = true;
    return verdict;
  }

  Verdict beforeSync(const std::string& path) {
    std::lock_guard<std::mutex> lock(mutex_);
    countAndMaybeDie("flush", path);
    if (kind_ == Kind::TORN && calls_ == at_) die("flush", path);
    Verdict verdict;
    if (kind_ == Kind::SYNC_EIO && ++flushes_ == at_) verdict.error = struck("flush", path, EIO);
    return verdict;
  }

  void afterSync(const std::string& path) {
    std::lock_guard<std::mutex> lock(mutex_);
    struct stat info {};
    if (stat(path.c_str(), &info) == 0) flushed_[path] = info.st_size;
  }

  void beforeRename(const std::string& from, const std::string& to) {
    std::lock_guard<std::mutex> lock(mutex_);
    countAndMaybeDie("rename", to);
    if (kind_ == Kind::TORN && calls_ == at_) die("rename", to);
    auto moved = flushed_.extract(from);
    if (moved.empty()) return;
    flushed_.erase(to);
    moved.key() = to;
    flushed_.insert(std::move(moved));
  }

  void dieAfterHalf(const std::string& path) { die("half a write", path); }

 private:
  void countAndMaybeDie(const char* what, const std::string& path) {
    ++calls_;
    if (calls_ != at_) return;
    if (kind_ == Kind::KILL) die(what, path);
    if (kind_ == Kind::POWER) {
      loseUnflushed();
      die(what, path);
    }
  }

  [[noreturn]] void die(const char* what, const std::string& path) {
    say(std::string(what) + " " + path);
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }

  int struck(const char* what, const std::string& path, int error) {
    if (!said_) say(std::string(what) + " " + path);
    said_ = true;
    return error;
  }

  // Of every second file all that was not flushed, of the others a part of chance.
  void loseUnflushed() {
    uint64_t chance = at_;
    for (const auto& [path, flushed] : flushed_) {
      struct stat info {};
      bool isFile = stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
      if (!isFile || info.st_size <= flushed) continue;
      chance = chance * 6364136223846793005ull + 1442695040888963407ull;
      auto lost = static_cast<uint64_t>(info.st_size - flushed);
      uint64_t kept = (chance >> 40) % 2 == 0 ? 0 : (chance >> 20) % (lost + 1);
      if (truncate(path.c_str(), flushed + static_cast<off_t>(kept)) != 0) abort();
    }
  }

  // By system calls of its own: these must not be counted.
  void say(const std::string& line) const {
    if (report_.empty()) return;
    std::string text = line + "\n";
    long fd = syscall(SYS_openat, AT_FDCWD, report_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0) return;
    syscall(SYS_write, fd, text.data(), text.size());
    syscall(SYS_close, fd);
  }

  std::string folder_;
  std::string report_;
  Kind kind_ = Kind::NONE;
  uint64_t at_ = 0;
  std::mutex mutex_;
  uint64_t calls_ = 0;
  uint64_t writes_ = 0;
  uint64_t flushes_ = 0;
  bool said_ = false;
  std::map<std::string, off_t> flushed_;  // of files that were written: how much is safe
};

Faults& faults() {
  static Faults all;
  return all;
}

template <class Write>
ssize_t guardedWrite(int fd, size_t size, Write write) {
  std::string path = pathOf(fd);
  if (!faults().covers(path)) return write(size);
  Verdict verdict = faults().beforeWrite(path);
  if (verdict.error != 0) {
    errno = verdict.error;
    return -1;
  }
  ssize_t written = write(verdict.halve && size > 1 ? size / 2 : size);
  if (verdict.killAfter) faults().dieAfterHalf(path);
  return written;
}

int guardedSync(int fd, SyncCall* sync) {
  std::string path = pathOf(fd);
  if (!faults().covers(path)) return sync(fd);
  Verdict verdict = faults().beforeSync(path);
  if (verdict.error != 0) {
    errno = verdict.error;
    return -1;
  }
  int done = sync(fd);
  if (done == 0) faults().afterSync(path);
  return done;
}

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's own names
extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
  static auto* const call = original<WriteCall>("write");
  return guardedWrite(fd, size, [&](size_t part) { return call(fd, bytes, part); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  static auto* const call = original<PositionedWriteCall>("pwrite");
  return guardedWrite(fd, size, [&](size_t part) { return call(fd, bytes, part, offset); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  static auto* const call = original<PositionedWriteCall>("pwrite64");
  return guardedWrite(fd, size, [&](size_t part) { return call(fd, bytes, part, offset); });
}

int fsync(int fd) {
  static auto* const call = original<SyncCall>("fsync");
  return guardedSync(fd, call);
}

int fdatasync(int fd) {
  static auto* const call = original<SyncCall>("fdatasync");
  return guardedSync(fd, call);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = original<int(const char*, const char*)>("rename");
  if (faults().covers(to)) faults().beforeRename(from, to);
  return call(from, to);
}

int link(const char* from, const char* to) noexcept {
  static auto* const call = original<int(const char*, const char*)>("link");
  if (faults().covers(to)) faults().beforeRename(from, to);
  return call(from, to);
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
