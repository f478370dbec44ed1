// Load on an HTTP/1.1 server and a server that costs next to nothing, both on epoll, so that what
// is measured is what stands between them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace muster::bench {

// Answers every POST with 50 bytes of JSON, or, when its body asks for a stream, with one event
// each second until the client goes. Runs in a process of its own until this object goes.
class TrivialBackend {
 public:
  // `mark` stands in its answers: {"id":"x"...
  explicit TrivialBackend(char mark = 'x');
  ~TrivialBackend();
  TrivialBackend(const TrivialBackend&) = delete;
  TrivialBackend& operator=(const TrivialBackend&) = delete;

  uint16_t port() const { return port_; }

 private:
  uint16_t port_ = 0;
  int pid_ = 0;
};

struct HttpLoad {
  uint16_t port = 0;  // of 127.0.0.1
  uint32_t connections = 64;
  std::chrono::milliseconds time{2000};
  double rate = 0;  // requests per second in all, at even distances; 0: each as soon as it can
};

struct HttpLoadResult {
  uint64_t answered = 0;
  uint64_t failed = 0;  // other statuses than 200, and connections that ended
  double seconds = 0;
  std::vector<double> latencies;  // ms, from the time a request was due
  double perSecond() const { return static_cast<double>(answered) / seconds; }
};

// Blocks the calling thread.
HttpLoadResult runHttpLoad(const HttpLoad& load);

// Asks on one connection, each time as soon as it was answered, until told to stop.
class SteadyClient {
 public:
  struct Answer {
    std::chrono::steady_clock::time_point at;
    char mark = 0;  // of the backend; 0: the request failed
  };

  explicit SteadyClient(uint16_t port);
  ~SteadyClient();
  SteadyClient(const SteadyClient&) = delete;
  SteadyClient& operator=(const SteadyClient&) = delete;

  std::vector<Answer> stop();  // all answers, in order

 private:
  void run(uint16_t port);

  std::atomic<bool> stopped_{false};
  std::vector<Answer> answers_;
  std::thread thread_;
};

struct StreamsResult {
  uint64_t open = 0;    // that have given their first event and are open at the end
  uint64_t failed = 0;  // that could not be opened, or ended
};

// Opens so many streams, holds them for a while, and leaves.
StreamsResult runStreams(uint16_t port, uint32_t count, std::chrono::milliseconds held);

}  // namespace muster::bench
