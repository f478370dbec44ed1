// How soon a change of routes is in force: a coordinator's event stream tells that a replica is
// elsewhere now, while a client asks without a pause. Beside it what others took for the same on a
// machine of this kind: HAProxy's runtime API, and a reload of nginx under load.
//
// Usage: route_change [--changes 200] [--every_ms 20]
#include "base/event_loop.h"
#include "base/http_client.h"
#include "base/http_server.h"
#include "bench/gateway_program.h"
#include "bench/http_load.h"
#include "bench/options.h"
#include "bench/report.h"
#include "tests/support/free_ports.h"

#include <kj/debug.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace muster::bench {
namespace {

using Clock = std::chrono::steady_clock;

// What a coordinator would tell; the bench says when.
class Feed final : public HttpBodyStream {
 public:
  void push(const std::string& event) {
    event_ += event;
    if (waiting_.get() != nullptr) waiting_->fulfill();
  }
  kj::Promise<std::optional<std::string>> next() override {
    if (!event_.empty()) return std::optional(std::exchange(event_, {}));
    auto news = kj::newPromiseAndFulfiller<void>();
    waiting_ = kj::mv(news.fulfiller);
    return news.promise.then([this] { return next(); });
  }

 private:
  std::string event_;
  kj::Own<kj::PromiseFulfiller<void>> waiting_;
};

std::string eventText(uint64_t index, uint16_t backend) {
  std::string head = R"({"version":1,"history":"1-00000000000000110000000000000022","index":)" +
                     std::to_string(index) + R"(,"epoch":1,)";
  bool isFirst = index == 1;
  return std::string("event: ") + (isFirst ? "snapshot" : "change") + "\ndata: " + head +
         (isFirst ? "\"items\":[" : "\"removed\":[],\"changed\":[") + routeItem(backend, index) +
         "]}\n\n";
}

struct Change {
  Clock::time_point at;
  char mark;  // of the backend that serves from now on
};

// Milliseconds from each change to the first answer of the new backend.
std::vector<double> delaysOf(const std::vector<Change>& changes,
                             const std::vector<SteadyClient::Answer>& answers) {
  std::vector<double> delays;
  auto answer = answers.begin();
  for (const Change& change : changes) {
    answer = std::find_if(answer, answers.end(), [&](const SteadyClient::Answer& one) {
      return one.at >= change.at && one.mark == change.mark;
    });
    if (answer == answers.end()) break;
    delays.push_back(std::chrono::duration<double, std::milli>(answer->at - change.at).count());
  }
  return delays;
}

int run(const Options& options) {
  TrivialBackend first('a');
  TrivialBackend second('b');
  BenchFolder folder;
  TlsFiles tls = makeBenchPki(folder);
  EventLoop loop;
  SystemRandom random;
  Logger logger;
  auto feed = std::make_shared<Feed>();
  auto server = HttpServer::start(
      {.address = "127.0.0.1:0", .tls = tls},
      [feed](HttpRequest) -> kj::Promise<HttpResponse> {
        HttpResponse response;
        response.contentType = "text/event-stream";
        response.stream = feed;
        return response;
      },
      logger, random);
  KJ_REQUIRE(server.ok(), server.refusal().text.c_str());
  feed->push(eventText(1, first.port()));
  uint16_t port = support::freePort();
  std::string coordinator = "127.0.0.1:" + std::to_string((*server)->port());
  ListeningProgram gateway(spawnGateway(folder, {.coordinator = coordinator}, port), port);
  auto wait = [&](double ms) {
    loop.timer().afterDelay(static_cast<int64_t>(ms) * kj::MILLISECONDS).wait(loop.waitScope());
  };
  auto isReady = [&] {
    auto asked = probeHttp(loop.network(), loop.timer(), {.port = port, .path = "/readyz"});
    auto status = asked.wait(loop.waitScope());
    return status.ok() && *status == 200;
  };
  while (!isReady()) wait(10);

  SteadyClient client(port);
  std::vector<Change> changes;
  for (size_t i = 0; i < options.count("changes"); ++i) {
    wait(options.number("every_ms"));
    bool toSecond = i % 2 == 0;
    changes.push_back({Clock::now(), toSecond ? 'b' : 'a'});
    feed->push(eventText(i + 2, toSecond ? second.port() : first.port()));
  }
  wait(200);
  auto answers = client.stop();
  auto delays = delaysOf(changes, answers);
  auto failed = std::ranges::count(answers, '\0', &SteadyClient::Answer::mark);

  Report report("route-change");
  if (!delays.empty()) {
    report.figure("p50_ms", percentile(delays, 0.5)).figure("p99_ms", percentile(delays, 0.99));
  }
  report.figure("changes", static_cast<double>(changes.size()))
      .figure("changes_seen", static_cast<double>(delays.size()))
      .figure("requests", static_cast<double>(answers.size()))
      .figure("failed_requests", static_cast<double>(failed))
      .figure("peer.haproxy_api_min_ms", 0.1)
      .figure("peer.haproxy_api_max_ms", 0.6)
      .figure("peer.nginx_reload_failed_requests", 33)
      .budget("p50_ms", "<= 1")
      .budget("failed_requests", "== 0")
      .budget("changes_seen", "== " + std::to_string(changes.size()));
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  using namespace muster::bench;  // NOLINT(google-build-using-namespace): a main of its own
  return run(Options(argc, argv, {{"changes", 200}, {"every_ms", 20}}));
}
