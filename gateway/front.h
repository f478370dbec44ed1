// One thread of the gateway: its port, its view of the routes, its connections and requests.
#pragma once

#include "base/http_door.h"
#include "base/random.h"
#include "gateway/backend_pool.h"
#include "gateway/completion_request.h"
#include "gateway/dispatcher.h"
#include "gateway/proxied_request.h"
#include "gateway/settings.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace muster::gateway {

// What one front says about itself, for all to be added up.
struct FrontFacts {
  GatewayFacts facts;
  std::map<std::string, ReplicaRow> rows;  // by route id
};

// Asks all fronts; calls back on the asking front's thread.
using GatherFacts = std::function<void(std::function<void(FrontFacts)>)>;

// Everything but its making happens on the thread that runs `loop`.
class Front final : private HttpIoSink {
 public:
  struct Parts {
    boost::asio::io_context& loop;
    TlsContext tls;      // for replicas
    std::string listen;  // "0.0.0.0:7402"
    const Settings& settings;
    const Logger& logger;
    GatherFacts gather;
  };
  explicit Front(Parts parts);
  KJ_DISALLOW_COPY(Front);

  std::optional<Refusal> listen();
  uint16_t port() const { return door_.port(); }

  void update(std::shared_ptr<const RouteTable> table);
  void useTls(TlsContext tls) { pool_.useTls(std::move(tls)); }
  FrontFacts facts() const;

  // Takes no more clients; `done` is called when the last request is answered.
  void drain(std::function<void()> done);
  // To be called when the loop runs no more and before it is destroyed, which the front outlives.
  void end();

 private:
  void onRequest(uint64_t exchange, HttpRequest request) override;
  void onCancel(uint64_t exchange) override;
  void onRoom(uint64_t exchange) override;
  void onDrained() override;

  void serve(uint64_t exchange, HttpRequest request);
  void serveModels(uint64_t exchange, const std::string& path);
  void serveMetrics(uint64_t exchange);
  void proxy(uint64_t exchange, HttpRequest request);
  void answer(uint64_t exchange, HttpResponse response);
  void refuse(uint64_t exchange, const OpenAiError& error);
  void sweepLater();

  Parts parts_;
  SystemRandom random_;
  GatewayFacts facts_;
  CompletionReader reader_;
  Dispatcher dispatcher_;
  BackendPool pool_;
  HttpDoor door_;
  ProxyDesk desk_;
  std::map<uint64_t, std::shared_ptr<ProxiedRequest>> running_;  // by exchange
  std::function<void()> onDrained_;
  std::optional<boost::asio::steady_timer> sweep_;
};

}  // namespace muster::gateway
