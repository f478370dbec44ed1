#include "worker/engine/native/serving/serving.h"

#include "base/http_server.h"
#include "base/kj_time.h"
#include "worker/engine/native/serving/endpoint.h"
#include "worker/engine/native/serving/engine_loop.h"
#include "worker/engine/native/serving/openai_error.h"
#include "worker/engine/native/serving/serving_metrics.h"

#include <utility>

namespace muster::worker {
namespace {

// A prompt may be long, and so may an answer that is not streamed; the gateway has the deadlines
// that its users feel.
const HttpLimits LIMITS{.body = 8_MiB, .connections = 4096, .handlerDeadline = 30_min};
constexpr int LOOKS_PER_STALL = 8;  // at the step under way

std::string describe(const RunningStep& step, Duration stall) {
  return "step " + std::to_string(step.number) + " (" + std::to_string(step.sequences) +
         " sequences, " + std::to_string(step.tokens) + " tokens) has not ended within " +
         toText(stall);
}

class ServingImpl final : public Serving {
 public:
  ServingImpl(const ServingOptions& options, std::shared_ptr<const ModelText> text,
              StepExecutor& executor, kj::Timer& timer, const Clock& clock, Random& random)
      : stall_(options.stall),
        timer_(timer),
        clock_(clock),
        metrics_(ServingMetrics::make({options.tenant, options.deployment, options.replica})),
        engine_(executor, text->tokenizer, options.limits, clock),
        endpoint_({options.model, options.aliases, text}, engine_, *metrics_, clock, random) {}

  Result<Done> listen(const ServingOptions& options, const Logger& logger, Random& random) {
    HttpServerOptions http{
        .address = options.address, .limits = LIMITS, .tls = options.tls, .failure = openAiError};
    auto handler = [this](HttpRequest request) { return endpoint_.handle(std::move(request)); };
    auto server = HttpServer::start(http, kj::mv(handler), logger, random);
    if (!server) return server.refusal();
    server_ = kj::mv(*server);
    address_ =
        options.address.substr(0, options.address.rfind(':') + 1) + std::to_string(server_->port());
    return Done{};
  }

  std::string address() const override { return address_; }

  kj::Promise<std::string> broken() override {
    return engine_.broken().exclusiveJoin(watchSteps());
  }

  kj::Promise<void> drain() override {
    endpoint_.close();
    return server_->drain();
  }

 private:
  kj::Promise<std::string> watchSteps() {
    return timer_.afterDelay(toKj(stall_ / LOOKS_PER_STALL))
        .then([this]() -> kj::Promise<std::string> {
          auto step = engine_.status().step;
          if (step && clock_.steadyNow() - step->since > stall_) return describe(*step, stall_);
          return watchSteps();
        });
  }

  Duration stall_;
  kj::Timer& timer_;
  const Clock& clock_;
  kj::Own<ServingMetrics> metrics_;
  EngineLoop engine_;
  Endpoint endpoint_;
  kj::Own<HttpServer> server_;  // goes first: its answers borrow the rest
  std::string address_;
};

}  // namespace

Result<kj::Own<Serving>> Serving::start(ServingOptions options,
                                        std::shared_ptr<const ModelText> text,
                                        StepExecutor& executor, kj::Timer& timer,
                                        const Clock& clock, Random& random, const Logger& logger) {
  auto serving = kj::heap<ServingImpl>(options, std::move(text), executor, timer, clock, random);
  auto listening = serving->listen(options, logger, random);
  if (!listening) return listening.refusal();
  return kj::Own<Serving>(kj::mv(serving));
}

}  // namespace muster::worker
