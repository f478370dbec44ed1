// The OpenAI-compatible surface of a replica: paths, who may ask, and what is answered.
#pragma once

#include "base/clock.h"
#include "base/http_server.h"
#include "base/random.h"
#include "worker/engine/native/serving/chat_template.h"
#include "worker/engine/native/serving/engine_loop.h"
#include "worker/engine/native/serving/model_text.h"
#include "worker/engine/native/serving/openai_request.h"
#include "worker/engine/native/serving/serving_metrics.h"

#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

struct EndpointModel {
  std::string name;
  std::vector<std::string> aliases;
  std::shared_ptr<const ModelText> text;
};

// Belongs to one event loop. Must outlive the answers it gives and their streams.
class Endpoint {
 public:
  // All that is borrowed must outlive it.
  Endpoint(EndpointModel model, EngineLoop& engine, ServingMetrics& metrics, const Clock& clock,
           Random& random);

  kj::Promise<HttpResponse> handle(HttpRequest request);

  // From now on only /health and /metrics answer; the rest is told to ask elsewhere.
  void close() { closed_ = true; }

 private:
  // A request whose answers are being generated.
  struct Begun;

  kj::Promise<HttpResponse> route(const HttpRequest& request);
  kj::Promise<HttpResponse> answer(ApiKind kind, const HttpRequest& request);
  Result<Begun> begin(const ApiRequest& request);
  Result<std::vector<std::vector<TokenId>>> promptsOf(const ApiRequest& request) const;
  Result<std::vector<TokenId>> tokensOf(const ApiRequest& request, const Prompt& prompt) const;
  Result<GenerationTask> taskOf(const ApiRequest& request, std::vector<TokenId> prompt) const;
  bool serves(const std::string& name) const;
  HttpResponse health() const;
  HttpResponse models(const std::string& wanted) const;

  EndpointModel model_;
  ChatTemplate chat_;
  EngineLoop& engine_;
  ServingMetrics& metrics_;
  const Clock& clock_;
  Random& random_;
  WallTime started_;
  bool closed_ = false;
};

}  // namespace muster::worker
