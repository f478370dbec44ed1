// bench: a stated load on one deployment, and what its clients felt.
#include "base/event_loop.h"
#include "cli/commands/bench_report.h"
#include "cli/commands/commands.h"
#include "cli/commands/gateway_calls.h"
#include "cli/exit_code.h"
#include "sharding/text.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace muster::cli {
namespace {

struct Load {
  uint32_t requests = 100;
  uint32_t concurrency = 4;
  uint32_t tokensMax = 64;
  std::string prompt;
};

class Bench {
 public:
  Bench(GatewayAddress gateway, std::string model, Load load)
      : gateway_(std::move(gateway)), load_(std::move(load)), loop_(TerminationSignals::CAPTURE) {
    Json body = {{"model", std::move(model)},
                 {"messages", {{{"role", "user"}, {"content", load_.prompt}}}},
                 {"stream", true},
                 {"max_tokens", load_.tokensMax}};
    body_ = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  // Each of the clients asks again as soon as it was answered, until all requests are made.
  Result<BenchResult> run() {
    kj::TimePoint began = loop_.timer().now();
    auto clients = kj::heapArrayBuilder<kj::Promise<void>>(load_.concurrency);
    for (uint32_t i = 0; i < load_.concurrency; ++i) clients.add(ask());
    auto left = loop_.onTermination().ignoreResult();
    kj::joinPromises(clients.finish()).exclusiveJoin(kj::mv(left)).wait(loop_.waitScope());
    if (refusal_) return *refusal_;
    result_.seconds = secondsOf(loop_.timer().now() - began);
    return result_;
  }

 private:
  static double secondsOf(kj::Duration duration) {
    return static_cast<double>(duration / kj::MICROSECONDS) / 1e6;
  }

  kj::Promise<void> ask() {
    if (made_ == load_.requests || refusal_) return kj::READY_NOW;
    ++made_;
    auto one = kj::heap<One>(One{loop_.timer().now(), {}, 0, false});
    One& state = *one;
    return complete(loop_.network(), loop_.timer(), gateway_,
                    {.path = "/v1/chat/completions", .body = body_},
                    [this, &state](std::string_view json) { hear(state, json); })
        .then([this, &state](Result<int> status) { take(state, status); })
        .attach(kj::mv(one))
        .then([this] { return ask(); });
  }

  struct One {
    kj::TimePoint began;
    kj::Maybe<kj::TimePoint> last;
    uint64_t tokens;
    bool failed;
  };

  // An event with a text counts as a token.
  void hear(One& one, std::string_view json) {
    Json event = Json::parse(json, nullptr, false);
    if (!event.is_object()) return;
    one.failed |= event.contains("error");
    if (one.failed)
      result_.firstError = result_.firstError.empty() ? errorMessage(json) : result_.firstError;
    if (textAt(event, "/choices/0/delta/content").empty()) return;
    kj::TimePoint now = loop_.timer().now();
    KJ_IF_MAYBE (last, one.last) {
      result_.interToken.push_back(secondsOf(now - *last));
    } else {
      result_.firstToken.push_back(secondsOf(now - one.began));
    }
    one.last = now;
    ++one.tokens;
  }

  void take(const One& one, const Result<int>& status) {
    if (!status) {
      refusal_ = status.refusal();
      return;
    }
    bool well = *status == 200 && !one.failed;
    ++(well ? result_.answered : result_.failed);
    result_.tokens += one.tokens;
    if (well) result_.whole.push_back(secondsOf(loop_.timer().now() - one.began));
  }

  GatewayAddress gateway_;
  Load load_;
  std::string body_;
  EventLoop loop_;
  uint32_t made_ = 0;
  BenchResult result_;
  std::optional<Refusal> refusal_;
};

Result<Load> loadOf(const Invocation& invocation) {
  Load load;
  struct Number {
    const char* flag;
    uint32_t& value;
    uint32_t most;
  };
  for (const Number& number : {Number{"--requests", load.requests, 1'000'000},
                               Number{"--concurrency", load.concurrency, 1024},
                               Number{"--max-tokens", load.tokensMax, 1'000'000}}) {
    auto given = numberOf(invocation, number.flag, number.value, {1, number.most});
    if (!given) return given.refusal();
    number.value = *given;
  }
  load.prompt = invocation.arguments.value("--prompt");
  if (load.prompt.empty()) load.prompt = "Tell me about the sea.";
  return load;
}

}  // namespace

Result<int> runBench(Invocation& invocation) {
  auto model = modelOf(invocation, invocation.arguments.word("REF"));
  if (!model) return invocation.wrongUsage(model.refusal());
  auto load = loadOf(invocation);
  if (!load) return invocation.wrongUsage(load.refusal());
  auto gateway = gatewayOf(invocation);
  if (!gateway) return gateway.refusal();
  invocation.terminal.hint(sharding::counted(load->requests, "request") + " by " +
                           sharding::counted(load->concurrency, "client") + ", at most " +
                           sharding::counted(load->tokensMax, "token") + " each");
  auto result = Bench(*gateway, *model, *load).run();
  if (!result) return result.refusal();
  Json answer = toJson(*result);
  auto printed = print(invocation, answer, [&](const Json&) { return toText(*result); });
  if (!printed) return printed;
  return result->failed == 0 && result->answered > 0 ? EXIT_DONE : EXIT_FAILED;
}

}  // namespace muster::cli
