#include "gateway/proxied_request.h"

#include "gateway/monotonic_now.h"
#include "gateway/openai_error.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace muster::gateway {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

constexpr size_t WHOLE_MAX = size_t{256} << 20;  // of an answer that is gathered

Duration since(steady_clock::time_point began) {
  return {std::chrono::nanoseconds(steady_clock::now() - began).count()};
}

// What of a replica's answer is the client's business; the rest concerns one connection only, or is
// said by our own port.
HttpResponse responseOf(const UpstreamHead& head) {
  static constexpr std::array<std::string_view, 4> PASSED = {"cache-control", "content-encoding",
                                                             "retry-after", "openai-model"};
  HttpResponse response;
  response.status = head.status;
  auto type = head.headers.find("content-type");
  response.contentType = type == head.headers.end() ? "application/octet-stream" : type->second;
  for (auto name : PASSED) {
    auto found = head.headers.find(std::string(name));
    if (found != head.headers.end()) response.headers[found->first] = found->second;
  }
  return response;
}

bool isEventStream(const HttpResponse& response) {
  return response.contentType.starts_with("text/event-stream");
}

uint64_t countEvents(std::string_view piece) {
  uint64_t count = 0;
  for (size_t at = 0; (at = piece.find("\n\n", at)) != std::string_view::npos; at += 2) ++count;
  return count;
}

}  // namespace

ProxiedRequest::ProxiedRequest(ProxyDesk& desk, uint64_t exchange, HttpRequest request,
                               CompletionRequest asked)
    : desk_(desk),
      exchange_(exchange),
      request_(std::move(request)),
      asked_(std::move(asked)),
      began_(steady_clock::now()),
      until_(began_ + std::chrono::nanoseconds(desk.settings.deadlines.request.nanos)),
      room_(desk.loop, asio::steady_timer::time_point::max()) {}

asio::awaitable<void> ProxiedRequest::run() {
  auto self = shared_from_this();
  Ask ask{asked_.model, asked_.prefix};
  std::optional<Failure> failure;
  BackendPointer failed;  // kept, so that its address stays its own
  for (;; ++retries_) {
    auto chosen = desk_.dispatcher.choose(ask, monotonicNow());
    if (auto* no = std::get_if<Unavailable>(&chosen)) {
      answerSelf(failure ? errorOf(*failure, replica_) : errorOf(*no, asked_.model));
      co_return;
    }
    auto& lease = std::get<Lease>(chosen);
    replica_ = lease.route().id;
    failure = co_await attempt(lease.backend());
    if (cancelled_ || !failure) co_return;
    if (afterFailure(*failure, {retries_, answering_}) != Next::ELSEWHERE) break;
    failed = lease.share();
    ask.avoid = failed.get();
    ++desk_.facts.retries;
  }
  if (answering_) {
    co_await finishWithError(*failure);
  } else {
    answerSelf(errorOf(*failure, replica_));
  }
}

void ProxiedRequest::cancel() {
  cancelled_ = true;
  if (upstream_) upstream_->cancel();
  room_.cancel();
}

void ProxiedRequest::onRoom() {
  hasRoom_ = true;
  room_.cancel();
}

// One replica; a kept connection that was closed meanwhile is replaced once.
asio::awaitable<std::optional<Failure>> ProxiedRequest::attempt(Backend& backend) {
  for (;;) {
    std::optional<Failure> failure = co_await open(backend);
    if (!failure) failure = co_await exchangeWith(backend);
    if (cancelled_) co_return failure;
    if (failure == Failure::NO_ANSWER && reused_) failure = Failure::STALE;
    if (steady_clock::now() >= until_ && failure) failure = Failure::OUT_OF_TIME;
    note(backend, failure);
    if (!failure) release(backend);
    bool again = failure && afterFailure(*failure, {0, answering_}) == Next::SAME_AGAIN;
    if (!again) co_return failure;
  }
}

asio::awaitable<std::optional<Failure>> ProxiedRequest::open(Backend& backend) {
  const Route route = *backend.route;
  auto target = desk_.pool.targetOf(route);
  if (!target) co_return Failure::CONNECT;
  // A connection that was stale is not followed by another kept one.
  upstream_ = reused_ ? nullptr : desk_.pool.takeKept(route.address);
  reused_ = upstream_ != nullptr;
  if (reused_) co_return std::nullopt;
  upstream_ = desk_.pool.create();
  std::optional<Failure> failure =
      co_await upstream_->connect(std::move(*target), left(desk_.settings.deadlines.connect));
  co_return failure;
}

asio::awaitable<std::optional<Failure>> ProxiedRequest::exchangeWith(Backend& backend) {
  auto upstream = upstream_;
  const Deadlines& deadlines = desk_.settings.deadlines;
  std::optional<Failure> failure =
      co_await upstream->send(requestFor(*backend.route), left(deadlines.firstByte));
  if (failure || cancelled_) co_return failure;
  auto head = co_await upstream->readHead(left(deadlines.firstByte));
  if (auto* no = std::get_if<Failure>(&head)) co_return *no;
  failure = co_await relay(backend, std::move(std::get<UpstreamHead>(head)));
  co_return failure;
}

asio::awaitable<std::optional<Failure>> ProxiedRequest::relay(Backend& backend, UpstreamHead head) {
  HttpResponse response = responseOf(head);
  int status = response.status;
  isFaulty_ = status == 500 || status == 502 || status == 504;
  std::optional<Failure> failure;
  if (isEventStream(response)) {
    failure = co_await relayStream(backend, std::move(response));
  } else {
    failure = co_await relayWhole(std::move(response));
  }
  if (!failure && !cancelled_) ++backend.metrics.answers[status];
  co_return failure;
}

// An answer in one piece is sent once it is complete, so that one that breaks off is an error and
// no half truth.
asio::awaitable<std::optional<Failure>> ProxiedRequest::relayWhole(HttpResponse response) {
  bool isBusy = response.status == 503 || response.status == 429;
  for (;;) {
    auto piece = co_await upstream_->readPiece(left(desk_.settings.deadlines.betweenBytes));
    if (auto* no = std::get_if<Failure>(&piece)) co_return *no;
    auto& bytes = std::get<std::string>(piece);
    if (bytes.empty()) break;
    response.body += bytes;
    if (response.body.size() > WHOLE_MAX) co_return Failure::BAD_ANSWER;
  }
  bool hasOther = retries_ == 0 && desk_.dispatcher.hasOther(asked_.model, replica_);
  if (isBusy && hasOther) co_return Failure::BUSY;
  answer(std::move(response));
  co_return std::nullopt;
}

asio::awaitable<std::optional<Failure>> ProxiedRequest::relayStream(Backend& backend,
                                                                    HttpResponse response) {
  auto upstream = upstream_;
  bool first = true;
  auto last = began_;
  for (;;) {
    auto piece = co_await upstream->readPiece(left(desk_.settings.deadlines.betweenBytes));
    if (cancelled_) co_return std::nullopt;
    if (auto* no = std::get_if<Failure>(&piece)) co_return *no;
    auto& bytes = std::get<std::string>(piece);
    if (bytes.empty()) break;
    uint64_t events = std::max<uint64_t>(countEvents(bytes), 1);
    if (first) {
      backend.metrics.timeToFirstToken.add(since(began_));
    } else {
      backend.metrics.interTokenLatency.add(since(last) / static_cast<int64_t>(events), events);
    }
    last = steady_clock::now();
    // The head waits for the first piece: a replica that fails before it can still be replaced.
    if (std::exchange(first, false)) {
      HttpConnection* client = desk_.door.waiting(exchange_);
      if (client == nullptr) co_return std::nullopt;
      answering_ = true;
      client->answer(response, HttpBodyKind::STREAMED);
    }
    bool open = co_await waitForRoom();
    HttpConnection* client = desk_.door.waiting(exchange_);
    if (!open || client == nullptr) co_return std::nullopt;
    atEventEnd_ = bytes.ends_with("\n\n");
    client->append(std::move(bytes));
  }
  if (first) {
    response.body = "";
    answer(std::move(response));
    co_return std::nullopt;
  }
  bool open = co_await waitForRoom();
  HttpConnection* client = desk_.door.waiting(exchange_);
  if (open && client != nullptr) client->finish(HttpStreamEnd::COMPLETE);
  co_return std::nullopt;
}

// A stream that broke off ends with an event that says so, and without [DONE].
asio::awaitable<void> ProxiedRequest::finishWithError(Failure failure) {
  bool open = co_await waitForRoom();
  HttpConnection* client = desk_.door.waiting(exchange_);
  if (!open || client == nullptr) co_return;
  client->append((atEventEnd_ ? "" : "\n\n") + toEvent(errorOf(failure, replica_)));
  open = co_await waitForRoom();
  client = desk_.door.waiting(exchange_);
  if (open && client != nullptr) client->finish(HttpStreamEnd::COMPLETE);
}

// True when the client takes more; its port has the deadline.
asio::awaitable<bool> ProxiedRequest::waitForRoom() {
  while (!hasRoom_ && !cancelled_) {
    boost::system::error_code ignored;
    co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  hasRoom_ = false;
  co_return !cancelled_;
}

UpstreamRequest ProxiedRequest::requestFor(const Route& route) const {
  UpstreamRequest out{request_.method, request_.path, {}, request_.body};
  out.headers = {{"Content-Type", "application/json"},
                 {"User-Agent", "muster-gateway"},
                 {"X-Request-Id", request_.requestId}};
  for (const char* name : {"accept", "traceparent"}) {
    auto given = request_.headers.find(name);
    if (given != request_.headers.end()) out.headers[name] = given->second;
  }
  if (asked_.model != route.deployment) {
    out.body = withModel(request_.body, route.deployment).value_or(request_.body);
  }
  return out;
}

void ProxiedRequest::answerSelf(const OpenAiError& error) {
  ++desk_.facts.own[error.status];
  answer(toResponse(error));
}

void ProxiedRequest::answer(HttpResponse response) {
  HttpConnection* client = desk_.door.waiting(exchange_);
  if (client == nullptr) return;
  answering_ = true;
  client->answer(std::move(response), HttpBodyKind::WHOLE);
}

void ProxiedRequest::release(Backend& backend) {
  auto upstream = std::exchange(upstream_, nullptr);
  if (upstream->isReusable()) {
    desk_.pool.keep(backend.route->address, std::move(upstream));
  } else {
    upstream->cancel();
  }
}

void ProxiedRequest::note(Backend& backend, const std::optional<Failure>& failure) {
  if (!failure) {
    if (isFaulty_) {
      desk_.dispatcher.failed(backend, Failure::BAD_ANSWER, monotonicNow());
    } else {
      desk_.dispatcher.succeeded(backend);
    }
    backend.metrics.requestDuration.add(since(began_));
    return;
  }
  desk_.dispatcher.failed(backend, *failure, monotonicNow());
  if (*failure == Failure::STALE) return;
  ++backend.metrics.failures;
  desk_.logger.warn("a replica failed a request",
                    {{"replica", replica_},
                     {"request_id", request_.requestId},
                     {"cause", upstream_ ? upstream_->trouble() : "its address is not used"}});
}

Duration ProxiedRequest::left(Duration atMost) const {
  Duration rest{std::chrono::nanoseconds(until_ - steady_clock::now()).count()};
  return std::max(std::min(atMost, rest), Duration{});
}

}  // namespace muster::gateway
