// muster-enter-scope SOCKET PROGRAM [ARG...]: has itself moved into a scope of its own and becomes
// PROGRAM, with the same pid.
//
// Who listens at SOCKET learns our pid from the kernel and answers "ok" when we have been moved.
// Without an answer PROGRAM runs where we are: a rank in the worker's own cgroup is better than
// none.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

constexpr int WRONG_USAGE = 2;
constexpr int CANNOT_START = 127;  // as shells say it
constexpr timeval PATIENCE = {10, 0};

// What went wrong; empty when we are in our scope.
std::string enterScope(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof(address.sun_path)) return "the socket's path is too long";
  std::memcpy(address.sun_path, path, std::strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::strerror(errno);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof(PATIENCE));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::strerror(errno);
  }
  std::string answer;
  char buffer[256];
  ssize_t size = 0;
  while ((size = read(fd, buffer, sizeof(buffer))) > 0) {
    answer.append(buffer, static_cast<size_t>(size));
  }
  if (answer == "ok\n") return "";
  return answer.empty() ? "no answer" : answer.substr(0, answer.find('\n'));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: muster-enter-scope SOCKET PROGRAM [ARG...]\n", stderr);
    return WRONG_USAGE;
  }
  std::string problem = enterScope(argv[1]);
  if (!problem.empty()) {
    std::fprintf(stderr,
                 "muster: no scope of its own for this rank (%s); it runs in the worker's\n",
                 problem.c_str());
  }
  execvp(argv[2], argv + 2);
  std::fprintf(stderr, "cannot start %s: %s\n", argv[2], std::strerror(errno));
  return CANNOT_START;
}
