#include "gateway/front.h"

#include "gateway/model_list.h"
#include "gateway/monotonic_now.h"
#include "gateway/openai_error.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace muster::gateway {
namespace {

namespace asio = boost::asio;

constexpr std::string_view COMPLETIONS[] = {"/v1/chat/completions", "/v1/completions",
                                            "/v1/embeddings"};
constexpr std::string_view MODELS = "/v1/models";
constexpr std::chrono::seconds SWEEP_EVERY{5};

OpenAiError notThisMethod(const HttpRequest& request, const std::string& wanted) {
  return {405, request.path + " is asked with " + wanted + ", not with " + request.method,
          "invalid_request_error", "method_not_allowed"};
}

OpenAiError nothingAt(const std::string& path) {
  return {404,
          "there is nothing at " + path +
              "; the gateway serves /v1/models and POST "
              "/v1/chat/completions, /v1/completions and /v1/embeddings",
          "invalid_request_error", "unknown_url"};
}

HttpResponse plainText(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.contentType = "text/plain; charset=utf-8";
  response.body = std::move(text);
  return response;
}

// "default/search/0" in its three parts.
ReplicaRow rowOf(const Backend& backend) {
  const std::string& id = backend.route->id;
  size_t first = id.find('/');
  size_t last = id.rfind('/');
  ReplicaRow row;
  row.tenant = id.substr(0, first);
  row.deployment = first < last ? id.substr(first + 1, last - first - 1) : id;
  row.replica = id.substr(last + 1);
  row.outstanding = backend.outstanding;
  row.ejected = backend.outlier.isEjected(monotonicNow());
  row.metrics = backend.metrics;
  return row;
}

std::string textOf(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "an exception of no known type";
  }
}

std::string prefixOf(Random& random) { return toText(random.guid()).substr(0, 16); }

HttpServerOptions doorOptions(const std::string& address, const Settings& settings) {
  HttpServerOptions options{.address = address, .limits = settings.limits};
  options.failure = openAiFailure;
  options.port = settings.threads > 1 ? HttpPort::SHARED : HttpPort::OWN;
  return options;
}

}  // namespace

Front::Front(Parts parts)
    : parts_(std::move(parts)),
      reader_(parts_.settings.prefix),
      dispatcher_(parts_.settings.balance, parts_.settings.outlier, random_),
      pool_(parts_.loop, parts_.tls, parts_.settings),
      door_(parts_.loop, doorOptions(parts_.listen, parts_.settings), prefixOf(random_),
            parts_.logger, *this),
      desk_{parts_.loop, door_, dispatcher_, pool_, parts_.settings, parts_.logger, facts_},
      sweep_(std::in_place, parts_.loop) {}

std::optional<Refusal> Front::listen() {
  auto refusal = door_.listen();
  if (!refusal) sweepLater();
  return refusal;
}

void Front::update(std::shared_ptr<const RouteTable> table) {
  dispatcher_.update(std::move(table));
  pool_.sweep(dispatcher_.table());
}

void Front::drain(std::function<void()> done) {
  onDrained_ = std::move(done);
  door_.drain();
}

void Front::onDrained() {
  pool_.clear();
  if (onDrained_) onDrained_();
}

void Front::end() {
  door_.end();
  pool_.clear();
  running_.clear();
  sweep_.reset();
}

FrontFacts Front::facts() const {
  FrontFacts out{facts_, {}};
  out.facts.connections = door_.connections();
  for (const auto& backend : dispatcher_.backends()) {
    out.rows.emplace(backend->route->id, rowOf(*backend));
  }
  return out;
}

void Front::onRequest(uint64_t exchange, HttpRequest request) {
  serve(exchange, std::move(request));
}

void Front::onCancel(uint64_t exchange) {
  auto found = running_.find(exchange);
  if (found != running_.end()) found->second->cancel();
}

void Front::onRoom(uint64_t exchange) {
  auto found = running_.find(exchange);
  if (found != running_.end()) found->second->onRoom();
}

void Front::serve(uint64_t exchange, HttpRequest request) {
  const std::string& path = request.path;
  if (std::ranges::find(COMPLETIONS, path) != std::end(COMPLETIONS)) {
    if (request.method != "POST") return refuse(exchange, notThisMethod(request, "POST"));
    return proxy(exchange, std::move(request));
  }
  bool isModels = path == MODELS || path.starts_with(std::string(MODELS) + "/");
  bool isKnown = isModels || path == "/metrics" || path == "/healthz" || path == "/readyz";
  if (!isKnown) return refuse(exchange, nothingAt(path));
  if (request.method != "GET") return refuse(exchange, notThisMethod(request, "GET"));
  if (isModels) return serveModels(exchange, path);
  if (path == "/metrics") return serveMetrics(exchange);
  if (path == "/healthz") return answer(exchange, plainText(200, "ok\n"));
  bool hasView = dispatcher_.table().position().has_value();
  answer(exchange, hasView ? plainText(200, "ready\n")
                           : plainText(503, "no coordinator has told any route yet\n"));
}

void Front::serveModels(uint64_t exchange, const std::string& path) {
  if (path.size() <= MODELS.size() + 1) return answer(exchange, modelList(dispatcher_.table()));
  std::string name = path.substr(MODELS.size() + 1);
  auto found = modelObject(dispatcher_.table(), name);
  if (found) return answer(exchange, std::move(*found));
  auto chosen = dispatcher_.choose({name}, monotonicNow());
  if (auto* no = std::get_if<Unavailable>(&chosen)) refuse(exchange, errorOf(*no, name));
}

void Front::serveMetrics(uint64_t exchange) {
  parts_.gather([this, exchange](const FrontFacts& all) {
    std::vector<ReplicaRow> rows;
    rows.reserve(all.rows.size());
    for (const auto& [id, row] : all.rows) rows.push_back(row);
    HttpResponse response = plainText(200, metricsText(all.facts, rows));
    response.contentType = "text/plain; version=0.0.4; charset=utf-8";
    answer(exchange, std::move(response));
  });
}

void Front::proxy(uint64_t exchange, HttpRequest request) {
  auto asked = reader_.read(request.body);
  if (auto* error = std::get_if<OpenAiError>(&asked)) return refuse(exchange, *error);
  auto one = std::make_shared<ProxiedRequest>(desk_, exchange, std::move(request),
                                              std::move(std::get<CompletionRequest>(asked)));
  running_.emplace(exchange, one);
  asio::co_spawn(parts_.loop, one->run(), [this, exchange](const std::exception_ptr& failure) {
    running_.erase(exchange);
    if (!failure) return;
    parts_.logger.error("a request failed in the gateway itself", {{"cause", textOf(failure)}});
    refuse(exchange,
           {500, "the gateway failed; its log has the details", "server_error", "internal"});
  });
}

void Front::answer(uint64_t exchange, HttpResponse response) {
  if (auto* client = door_.waiting(exchange)) {
    client->answer(std::move(response), HttpBodyKind::WHOLE);
  }
}

void Front::refuse(uint64_t exchange, const OpenAiError& error) {
  ++facts_.own[error.status];
  answer(exchange, toResponse(error));
}

void Front::sweepLater() {
  sweep_->expires_after(SWEEP_EVERY);
  sweep_->async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    pool_.sweep(dispatcher_.table());
    sweepLater();
  });
}

}  // namespace muster::gateway
