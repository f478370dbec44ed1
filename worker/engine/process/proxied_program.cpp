#include "worker/engine/process/proxied_program.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <kj/debug.h>
#include <kj/io.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::worker {
namespace {

namespace asio = boost::asio;

constexpr int FAILED = 1;
constexpr int CANNOT_START = 127;                  // as shells say it
constexpr size_t SETTINGS = 6;                     // words before the program's own
constexpr auto PARTING = std::chrono::seconds(2);  // for what a dead engine left behind
// What is said of strangers goes to the rank's output, where it must not hide the engine's words.
constexpr uint32_t REFUSALS_TOLD = 16;

uint16_t portOfWord(const std::string& word) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), port);
  return error == std::errc{} && end == word.data() + word.size() ? port : 0;
}

// Each connection takes two descriptors; the usual soft limit would be reached by 500 of them.
void raiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The engine is asked to end and answers what it has begun; the proxy carries that.
void ignoreRequestsToEnd() {
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) signal(number, SIG_IGN);
}

class ProxyProcess {
 public:
  ProxyProcess(const TlsProxyOptions& options, int engine)
      : engine_(loop_, engine), parting_(loop_), proxy_(loop_, options, [this](const auto& text) {
          if (refusals_++ < REFUSALS_TOLD) std::fprintf(stderr, "muster: %s\n", text.c_str());
        }) {}

  Result<Done> listen() { return proxy_.listen(); }

  // Until the engine's process has ended.
  void run() {
    engine_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code&) { part(); });
    loop_.run();
  }

 private:
  void part() {
    parting_.expires_after(PARTING);
    parting_.async_wait([this](const boost::system::error_code&) { loop_.stop(); });
    proxy_.drain([this] { loop_.stop(); });
  }

  asio::io_context loop_{1};
  asio::posix::stream_descriptor engine_;
  asio::steady_timer parting_;
  uint32_t refusals_ = 0;
  TlsProxy proxy_;
};

// `started` hears one byte once we listen; its end alone says that we do not.
int serveProxy(const TlsProxyOptions& options, int engine, kj::AutoCloseFd started) {
  ignoreRequestsToEnd();
  raiseDescriptorLimit();
  ProxyProcess process(options, engine);
  auto listening = process.listen();
  if (!listening) {
    std::fprintf(stderr, "muster: error: %s\n", listening.refusal().text.c_str());
    return FAILED;
  }
  char ready = 1;
  KJ_SYSCALL(write(started, &ready, 1));
  started = nullptr;
  process.run();
  return 0;
}

// Forks twice, so that the proxy is nobody's child. Returns in the engine's process alone.
void startProxy(const TlsProxyOptions& options, kj::AutoCloseFd started) {
  // Opened by ourselves: a pid may be another process's by the time somebody looks.
  int engine = 0;
  KJ_SYSCALL(engine = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  kj::AutoCloseFd engineFd(engine);
  pid_t child = 0;
  KJ_SYSCALL(child = fork());
  if (child != 0) {
    KJ_SYSCALL(waitpid(child, nullptr, 0));
    return;
  }
  pid_t grandchild = fork();
  if (grandchild != 0) _exit(grandchild < 0 ? FAILED : 0);
  int code = FAILED;
  KJ_IF_MAYBE (why, kj::runCatchingExceptions(
                        [&] { code = serveProxy(options, engineFd.release(), kj::mv(started)); })) {
    std::fprintf(stderr, "muster: error: %s\n", why->getDescription().cStr());
  }
  _exit(code);
}

bool startedProxy(const TlsProxyOptions& options) {
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd told(ends[0]);
  startProxy(options, kj::AutoCloseFd(ends[1]));
  char ready = 0;
  ssize_t size = 0;
  KJ_SYSCALL(size = read(told, &ready, 1));
  return size == 1;
}

void becomeProgram(std::vector<std::string> argv) {
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (std::string& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  execvp(words[0], words.data());
  std::fprintf(stderr, "cannot start %s: %s\n", words[0], std::strerror(errno));
}

}  // namespace

std::vector<std::string> commandOf(const std::string& rankBinary, const ProxiedProgram& program) {
  const TlsProxyOptions& proxy = program.proxy;
  std::vector<std::string> command{rankBinary,
                                   BEHIND_TLS,
                                   proxy.address,
                                   std::to_string(proxy.port),
                                   std::to_string(proxy.enginePort),
                                   proxy.tls.ca,
                                   proxy.tls.certificate,
                                   proxy.tls.key};
  command.insert(command.end(), program.argv.begin(), program.argv.end());
  return command;
}

Result<ProxiedProgram> parseProxiedProgram(const std::vector<std::string>& words) {
  if (words.size() <= SETTINGS) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   std::string(BEHIND_TLS) +
                       " wants ADDRESS PORT ENGINE_PORT CA CERTIFICATE KEY PROGRAM [ARGUMENT...]"};
  }
  ProxiedProgram program{.proxy = {.address = words[0],
                                   .port = portOfWord(words[1]),
                                   .enginePort = portOfWord(words[2]),
                                   .tls = {words[3], words[4], words[5]}},
                         .argv = {words.begin() + SETTINGS, words.end()}};
  if (program.proxy.port != 0 && program.proxy.enginePort != 0) return program;
  return Refusal{RefusalCode::INVALID_VALUE,
                 "\"" + words[1] + "\" and \"" + words[2] + "\" must be ports from 1 to 65535"};
}

int runBehindTls(const ProxiedProgram& program) {
  if (!startedProxy(program.proxy)) return FAILED;  // the proxy has said why
  becomeProgram(program.argv);
  return CANNOT_START;
}

}  // namespace muster::worker
