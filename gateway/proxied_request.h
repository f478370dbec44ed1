// One request of a client on its way through the gateway: chosen, sent, answered, perhaps tried
// again.
#pragma once

#include "base/http_connection.h"
#include "base/http_door.h"
#include "gateway/backend_pool.h"
#include "gateway/completion_request.h"
#include "gateway/dispatcher.h"
#include "gateway/settings.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <kj/common.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace muster::gateway {

// What all requests of one thread work with; outlives them.
struct ProxyDesk {
  boost::asio::io_context& loop;
  HttpDoor& door;
  Dispatcher& dispatcher;
  BackendPool& pool;
  const Settings& settings;
  const Logger& logger;
  GatewayFacts& facts;
};

class ProxiedRequest : public std::enable_shared_from_this<ProxiedRequest> {
 public:
  ProxiedRequest(ProxyDesk& desk, uint64_t exchange, HttpRequest request, CompletionRequest asked);
  KJ_DISALLOW_COPY(ProxiedRequest);

  // From the choice of a replica to the end of the answer, or of the client.
  boost::asio::awaitable<void> run();

  // The client is gone: the replica is told so by the end of its connection.
  void cancel();
  // The client has taken what it was sent.
  void onRoom();

 private:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;
  using Time = std::chrono::steady_clock::time_point;

  Awaitable<std::optional<Failure>> attempt(Backend& backend);
  Awaitable<std::optional<Failure>> open(Backend& backend);
  Awaitable<std::optional<Failure>> exchangeWith(Backend& backend);
  Awaitable<std::optional<Failure>> relay(Backend& backend, UpstreamHead head);
  Awaitable<std::optional<Failure>> relayWhole(HttpResponse response);
  Awaitable<std::optional<Failure>> relayStream(Backend& backend, HttpResponse response);
  Awaitable<void> finishWithError(Failure failure);
  Awaitable<bool> waitForRoom();
  UpstreamRequest requestFor(const Route& route) const;
  void answerSelf(const OpenAiError& error);
  void answer(HttpResponse response);
  void release(Backend& backend);
  void note(Backend& backend, const std::optional<Failure>& failure);
  Duration left(Duration atMost) const;

  ProxyDesk& desk_;
  uint64_t exchange_;
  HttpRequest request_;
  CompletionRequest asked_;
  Time began_;
  Time until_;
  std::shared_ptr<Upstream> upstream_;
  uint32_t retries_ = 0;    // elsewhere, so far
  bool reused_ = false;     // upstream_ was a kept connection
  bool isFaulty_ = false;   // the answer passed on speaks against the replica
  bool answering_ = false;  // the client was sent a part of the answer
  bool cancelled_ = false;
  bool hasRoom_ = false;
  bool atEventEnd_ = true;  // what was sent so far ends between two events
  std::string replica_;     // that was tried last
  boost::asio::steady_timer room_;
};

}  // namespace muster::gateway
