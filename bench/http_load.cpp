#include "bench/http_load.h"

#include <kj/debug.h>
#include <kj/io.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <deque>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <string_view>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace muster::bench {
namespace {

using Clock = std::chrono::steady_clock;

// The mark of a backend takes the place of the x.
constexpr std::string_view ANSWER =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    R"({"id":"x","object":"chat.completion","choices":[]})";
constexpr std::string_view STREAM_HEAD =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view EVENT = "e\r\ndata: {\"x\":1}\n\r\n";
constexpr size_t MARK_AT = ANSWER.find("\"x\"") + 1;
static_assert(ANSWER.size() - ANSWER.find("{\"id\"") == 50);

void addTo(int epoll, int fd, uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  KJ_SYSCALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

void setNoDelay(int fd) {
  int on = 1;
  KJ_SYSCALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

kj::AutoCloseFd connectTo(uint16_t port) {
  int fd = -1;
  KJ_SYSCALL(fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd owned(fd);
  sockaddr_in address = loopback(port);
  KJ_SYSCALL(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  setNoDelay(fd);
  return owned;
}

// What of one connection's bytes is not answered yet; lengths by Content-Length.
class RequestCounter {
 public:
  // Requests that the bytes complete; `last` is the body of the last one.
  size_t feed(std::string_view bytes, std::string& last) {
    input_ += bytes;
    size_t complete = 0;
    for (;;) {
      size_t head = input_.find("\r\n\r\n");
      if (head == std::string::npos) return complete;
      size_t at = input_.find("ontent-Length: ");
      size_t length = at < head ? std::stoul(input_.substr(at + 15)) : 0;
      if (input_.size() < head + 4 + length) return complete;
      last = input_.substr(head + 4, length);
      input_.erase(0, head + 4 + length);
      ++complete;
    }
  }

 private:
  std::string input_;
};

class BackendLoop {
 public:
  BackendLoop(int listener, char mark) : listener_(listener), answer_(ANSWER) {
    answer_[MARK_AT] = mark;
    KJ_SYSCALL(epoll_ = epoll_create1(EPOLL_CLOEXEC));
    addTo(epoll_, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    auto nextTick = Clock::now();
    for (;;) {
      int count = epoll_wait(epoll_, events.data(), events.size(), 100);
      for (int i = 0; i < count; ++i) {
        int fd = events[static_cast<size_t>(i)].data.fd;
        fd == listener_ ? admit() : serve(fd);
      }
      if (Clock::now() < nextTick) continue;
      nextTick += std::chrono::seconds(1);
      for (int fd : streams_) (void)!write(fd, EVENT.data(), EVENT.size());
    }
  }

 private:
  void admit() {
    int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    setNoDelay(fd);
    addTo(epoll_, fd, EPOLLIN);
  }

  void serve(int fd) {
    std::array<char, 65536> piece;
    ssize_t got = read(fd, piece.data(), piece.size());
    if (got <= 0) {
      if (got < 0 && errno == EAGAIN) return;
      std::erase(streams_, fd);
      counters_.erase(fd);
      close(fd);
      return;
    }
    std::string body;
    size_t complete = counters_[fd].feed({piece.data(), static_cast<size_t>(got)}, body);
    for (size_t i = 0; i < complete; ++i) {
      bool isStream = body.find("\"stream\":true") != std::string::npos;
      std::string_view answer = isStream ? STREAM_HEAD : std::string_view(answer_);
      (void)!write(fd, answer.data(), answer.size());
      if (!isStream) continue;
      (void)!write(fd, EVENT.data(), EVENT.size());
      streams_.push_back(fd);
    }
  }

  int listener_;
  std::string answer_;
  int epoll_ = -1;
  std::map<int, RequestCounter> counters_;
  std::vector<int> streams_;
};

std::string requestText(bool stream) {
  std::string body = std::string(R"({"model":"chat","stream":)") + (stream ? "true" : "false") +
                     R"(,"messages":[{"role":"user","content":")" + std::string(110, 'x') + "\"}]}";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Of the whole answer at the front of `input`; nothing while it is not all there.
std::optional<size_t> answerLength(std::string_view input) {
  size_t head = input.find("\r\n\r\n");
  if (head == std::string_view::npos) return std::nullopt;
  size_t at = input.find("ontent-Length: ");
  size_t length = 0;
  if (at < head) std::from_chars(input.data() + at + 15, input.data() + head, length);
  if (input.size() < head + 4 + length) return std::nullopt;
  return head + 4 + length;
}

// One connection of a load: one request at a time.
struct Client {
  kj::AutoCloseFd fd;
  std::string input;
  Clock::time_point due;
  bool busy = false;
};

class LoadLoop {
 public:
  explicit LoadLoop(const HttpLoad& load) : load_(load), request_(requestText(false)) {
    KJ_SYSCALL(epoll_ = epoll_create1(EPOLL_CLOEXEC));
    for (uint32_t i = 0; i < load.connections; ++i) {
      clients_.push_back(std::make_unique<Client>());
      reconnect(*clients_.back());
      idle_.push_back(clients_.back().get());
    }
  }
  ~LoadLoop() { close(epoll_); }

  HttpLoadResult run() {
    began_ = Clock::now();
    auto end = began_ + load_.time;
    std::array<epoll_event, 256> events;
    while (Clock::now() < end) {
      sendDue();
      // At a given rate nobody sleeps past the next request: epoll counts whole milliseconds.
      int timeout = load_.rate > 0 ? 0 : 100;
      int count = epoll_wait(epoll_, events.data(), events.size(), timeout);
      for (int i = 0; i < count; ++i) {
        take(*byFd_.at(events[static_cast<size_t>(i)].data.fd));
      }
    }
    result_.seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    return std::move(result_);
  }

 private:
  void reconnect(Client& client) {
    if (client.fd.get() >= 0) byFd_.erase(client.fd.get());
    client.fd = connectTo(load_.port);
    client.input.clear();
    client.busy = false;
    byFd_[client.fd.get()] = &client;
    addTo(epoll_, client.fd.get(), EPOLLIN);
  }

  void sendDue() {
    auto now = Clock::now();
    while (!idle_.empty()) {
      auto due = now;
      if (load_.rate > 0) {
        due = began_ + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(static_cast<double>(sent_) / load_.rate));
        if (due > now) return;
      }
      Client& client = *idle_.front();
      idle_.pop_front();
      client.due = due;
      client.busy = true;
      ++sent_;
      (void)!write(client.fd.get(), request_.data(), request_.size());
    }
  }

  void take(Client& client) {
    std::array<char, 16384> piece;
    ssize_t got = read(client.fd.get(), piece.data(), piece.size());
    if (got <= 0) {
      if (client.busy) ++result_.failed;
      bool wasBusy = client.busy;
      reconnect(client);
      if (wasBusy) idle_.push_back(&client);
      return;
    }
    client.input.append(piece.data(), static_cast<size_t>(got));
    auto length = answerLength(client.input);
    if (!length) return;
    bool isWell = client.input.starts_with("HTTP/1.1 200");
    ++(isWell ? result_.answered : result_.failed);
    result_.latencies.push_back(
        std::chrono::duration<double, std::milli>(Clock::now() - client.due).count());
    client.input.erase(0, *length);
    client.busy = false;
    idle_.push_back(&client);
  }

  const HttpLoad& load_;
  std::string request_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<int, Client*> byFd_;
  std::deque<Client*> idle_;
  Clock::time_point began_;
  uint64_t sent_ = 0;
  HttpLoadResult result_;
};

}  // namespace

TrivialBackend::TrivialBackend(char mark) {
  int listener = -1;
  KJ_SYSCALL(listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd owned(listener);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  KJ_SYSCALL(bind(listener, reinterpret_cast<sockaddr*>(&address), size));
  KJ_SYSCALL(listen(listener, 16384));
  KJ_SYSCALL(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size));
  port_ = ntohs(address.sin_port);
  KJ_SYSCALL(pid_ = fork());
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  BackendLoop(listener, mark).run();
}

TrivialBackend::~TrivialBackend() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

HttpLoadResult runHttpLoad(const HttpLoad& load) { return LoadLoop(load).run(); }

SteadyClient::SteadyClient(uint16_t port) : thread_([this, port] { run(port); }) {}

SteadyClient::~SteadyClient() { stop(); }

std::vector<SteadyClient::Answer> SteadyClient::stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
  return answers_;
}

void SteadyClient::run(uint16_t port) {
  std::string request = requestText(false);
  std::array<char, 4096> piece;
  std::string input;
  kj::AutoCloseFd fd = connectTo(port);
  while (!stopped_) {
    (void)!write(fd.get(), request.data(), request.size());
    input.clear();
    ssize_t got = 1;
    while (got > 0 && !answerLength(input)) {
      got = read(fd.get(), piece.data(), piece.size());
      if (got > 0) input.append(piece.data(), static_cast<size_t>(got));
    }
    size_t at = input.find("{\"id\":\"");
    bool isWell = input.starts_with("HTTP/1.1 200") && at != std::string::npos;
    answers_.push_back({Clock::now(), isWell ? input[at + 7] : '\0'});
    if (got <= 0) fd = connectTo(port);
  }
}

StreamsResult runStreams(uint16_t port, uint32_t count, std::chrono::milliseconds held) {
  StreamsResult result;
  std::string request = requestText(true);
  std::vector<kj::AutoCloseFd> open;
  for (uint32_t i = 0; i < count; ++i) {
    auto fd = connectTo(port);
    KJ_SYSCALL(write(fd.get(), request.data(), request.size()));
    open.push_back(kj::mv(fd));
  }
  // The first event of each is read at once; the rest stays in the kernel, until the end is looked
  // for.
  auto until = Clock::now() + held;
  timeval patience{.tv_sec = 20, .tv_usec = 0};
  std::array<char, 4096> piece;
  std::vector<bool> begun(open.size());
  for (size_t i = 0; i < open.size(); ++i) {
    setsockopt(open[i].get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string seen;
    while (seen.find("data:") == std::string::npos) {
      ssize_t got = read(open[i].get(), piece.data(), piece.size());
      if (got <= 0) break;
      seen.append(piece.data(), static_cast<size_t>(got));
    }
    begun[i] = seen.find("data:") != std::string::npos;
  }
  while (Clock::now() < until) usleep(10'000);
  for (size_t i = 0; i < open.size(); ++i) {
    ssize_t got = 1;
    while (got > 0) got = recv(open[i].get(), piece.data(), piece.size(), MSG_DONTWAIT);
    bool isOpen = got < 0 && errno == EAGAIN;
    ++(begun[i] && isOpen ? result.open : result.failed);
  }
  return result;
}

}  // namespace muster::bench
