// The body of a request for an answer, as the engine and the gateway read it. What both take, they
// take alike; the gateway's other name for the model changes nothing else.
#include "gateway/completion_request.h"
#include "tests/fuzz/fuzz.h"
#include "worker/engine/native/serving/openai_request.h"

#include <string>

namespace muster {
namespace {

using gateway::CompletionReader;
using gateway::CompletionRequest;

std::optional<CompletionRequest> readAtGateway(const std::string& body) {
  static CompletionReader reader(gateway::PrefixRules{});
  auto read = reader.read(body);
  if (auto* request = std::get_if<CompletionRequest>(&read)) return *request;
  return std::nullopt;
}

void checkAlike(const CompletionRequest& seen, const std::string& body) {
  for (auto kind : {worker::ApiKind::CHAT, worker::ApiKind::COMPLETION}) {
    auto read = worker::parseApiRequest(kind, body);
    if (!read) {
      fuzz::checkRefusal(read.refusal());
      continue;
    }
    fuzz::check(read->model == seen.model, "engine and gateway see one model");
    fuzz::check(read->stream == seen.stream, "engine and gateway agree on the stream");
  }
}

void checkRenamed(const CompletionRequest& seen, const std::string& body) {
  auto renamed = gateway::withModel(body, "other");
  if (!renamed) return;
  auto again = readAtGateway(*renamed);
  fuzz::check(again.has_value(), "a renamed body is a body");
  fuzz::check(again->model == "other", "a renamed body has the other model");
  fuzz::check(again->stream == seen.stream && again->prefix == seen.prefix,
              "all else is as it was");
}

void readBody(const std::string& body) {
  auto seen = readAtGateway(body);
  if (!seen) {
    for (auto kind : {worker::ApiKind::CHAT, worker::ApiKind::COMPLETION}) {
      auto read = worker::parseApiRequest(kind, body);
      if (!read) fuzz::checkRefusal(read.refusal());
    }
    return;
  }
  checkAlike(*seen, body);
  checkRenamed(*seen, body);
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::readBody(std::string(muster::fuzz::textOf(data, size)));
  return 0;
}
