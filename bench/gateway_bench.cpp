// The gateway between a load and a backend that costs next to nothing, with nginx, where it is
// installed, in its place as the yardstick, all on one machine. 64 connections; requests of 200
// bytes, answers of 50.
//
// A stream takes two descriptors of the gateway, so where a process may not have that many, a
// second gateway takes half of the streams.
//
// Usage: gateway [--seconds 3] [--streams 10000] [--threads 1] [--rate 10000]
#include "bench/gateway_program.h"
#include "bench/http_load.h"
#include "bench/options.h"
#include "bench/report.h"
#include "tests/support/free_ports.h"

#include <kj/debug.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace muster::bench {
namespace {

constexpr const char* NGINX = "/usr/sbin/nginx";
constexpr double BUDGET_RATE = 20'000;
constexpr uint64_t DESCRIPTORS_OTHERWISE = 500;  // of a gateway, beside those of streams

std::string viewText(uint16_t backend) {
  return R"({"version":1,"history":"1-00000000000000110000000000000022","index":1,"items":[)" +
         routeItem(backend, 1) + "]}";
}

std::unique_ptr<ListeningProgram> startGateway(const BenchFolder& folder, uint16_t backend,
                                               size_t threads) {
  makeBenchPki(folder);
  uint16_t port = support::freePort();
  pid_t pid = spawnGateway(folder, {.view = viewText(backend), .threads = threads}, port);
  return std::make_unique<ListeningProgram>(pid, port);
}

// Its master and its workers; killed, the master would leave them behind.
class NginxProgram {
 public:
  NginxProgram(pid_t pid, uint16_t port) : pid_(pid), program_(pid, port) {}
  ~NginxProgram() {
    siginfo_t ended{};
    kill(pid_, SIGTERM);
    waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT);
  }
  NginxProgram(const NginxProgram&) = delete;
  NginxProgram& operator=(const NginxProgram&) = delete;

  uint16_t port() const { return program_.port(); }

 private:
  pid_t pid_;
  ListeningProgram program_;
};

// As its manual asks for a proxy that keeps connections and passes streams on, with as many workers
// as the gateway has threads. Nothing where it is not installed.
std::unique_ptr<NginxProgram> startNginx(const BenchFolder& folder, uint16_t backend,
                                         size_t workers) {
  if (access(NGINX, X_OK) != 0) return nullptr;
  uint16_t port = support::freePort();
  std::string config = folder.write(
      "nginx.conf",
      "daemon off;\nworker_processes " + std::to_string(workers) + ";\npid " + folder.path() +
          "/nginx.pid;\nerror_log " + folder.path() +
          "/nginx.log;\nevents { worker_connections 4096; }\nhttp {\n access_log off;\n"
          " client_body_temp_path " +
          folder.path() + "/body;\n proxy_temp_path " + folder.path() +
          "/proxy;\n fastcgi_temp_path " + folder.path() + "/f;\n uwsgi_temp_path " +
          folder.path() + "/u;\n scgi_temp_path " + folder.path() +
          "/s;\n keepalive_requests 100000000;\n upstream b { server 127.0.0.1:" +
          std::to_string(backend) +
          "; keepalive 256; keepalive_requests 100000000; }\n server {\n  listen 127.0.0.1:" +
          std::to_string(port) +
          ";\n  location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header "
          "Connection \"\"; proxy_buffering off; client_body_buffer_size 1m; }\n }\n}\n");
  pid_t pid = fork();
  KJ_REQUIRE(pid >= 0);
  if (pid == 0) {
    execl(NGINX, NGINX, "-c", config.c_str(), nullptr);
    _exit(127);
  }
  return std::make_unique<NginxProgram>(pid, port);
}

double p99(const HttpLoadResult& result) { return percentile(result.latencies, 0.99); }

// As many descriptors as this process, and those it starts, may have.
uint64_t raiseDescriptors() {
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  return descriptors.rlim_cur;
}

StreamsResult holdStreams(const std::vector<uint16_t>& ports, uint64_t count) {
  constexpr std::chrono::milliseconds HELD{1000};
  std::vector<std::future<StreamsResult>> parts;
  for (uint16_t port : ports) {
    auto share = static_cast<uint32_t>(count / ports.size());
    parts.push_back(std::async(std::launch::async, runStreams, port, share, HELD));
  }
  StreamsResult all;
  for (auto& part : parts) {
    StreamsResult one = part.get();
    all.open += one.open;
    all.failed += one.failed;
  }
  return all;
}

int run(const Options& options) {
  uint64_t descriptors = raiseDescriptors();
  std::chrono::milliseconds time{static_cast<int64_t>(options.number("seconds") * 1000)};
  TrivialBackend backend;
  BenchFolder folder;
  auto gateway = startGateway(folder, backend.port(), options.count("threads"));
  auto nginx = startNginx(folder, backend.port(), options.count("threads"));

  Report report("gateway");
  auto full = runHttpLoad({.port = gateway->port(), .time = time});
  uint64_t failed = full.failed;
  report.figure("requests_per_s", full.perSecond());
  std::fprintf(stderr, "saturated: %.0f requests/s, p99 %.2f ms\n", full.perSecond(), p99(full));
  if (nginx) {
    auto yardstick = runHttpLoad({.port = nginx->port(), .time = time});
    report.figure("nginx_requests_per_s", yardstick.perSecond());
    std::fprintf(stderr, "nginx: %.0f requests/s\n", yardstick.perSecond());
  }
  double rate = options.number("rate");
  auto direct = runHttpLoad({.port = backend.port(), .time = time, .rate = rate});
  auto half = runHttpLoad({.port = gateway->port(), .time = time, .rate = rate});
  failed += half.failed;
  report.figure("direct_p99_ms", p99(direct)).figure("half_load_p99_ms", p99(half));
  report.figure("half_load_p50_ms", percentile(half.latencies, 0.5));
  if (nginx) {
    auto yardstick = runHttpLoad({.port = nginx->port(), .time = time, .rate = rate});
    report.figure("nginx_half_load_p99_ms", p99(yardstick));
  }
  report.figure("added_p99_ms", p99(half) - p99(direct));
  auto count = static_cast<uint64_t>(options.count("streams"));
  std::vector<uint16_t> ports(1, gateway->port());
  BenchFolder secondFolder;
  std::unique_ptr<ListeningProgram> second;
  if (count * 2 + DESCRIPTORS_OTHERWISE > descriptors) {
    second = startGateway(secondFolder, backend.port(), options.count("threads"));
    ports.push_back(second->port());
  }
  auto streams = holdStreams(ports, count);
  failed += streams.failed;
  report.figure("open_streams", static_cast<double>(streams.open));
  report.figure("failed_requests", static_cast<double>(failed));
  report.budget("requests_per_s", ">= " + std::to_string(static_cast<int>(BUDGET_RATE)))
      .budget("added_p99_ms", "<= 1")
      .budget("open_streams", ">= 10000")
      .budget("failed_requests", "== 0");
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  using namespace muster::bench;  // NOLINT(google-build-using-namespace): a main of its own
  Options options(argc, argv,
                  {{"seconds", 3}, {"streams", 10'000}, {"threads", 1}, {"rate", 10'000}});
  return run(options);
}
