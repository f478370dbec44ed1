// The HTTP thread: runs the loop of the port and carries answers to it.
#include "base/http_io.h"

#include "base/http_door.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <signal.h>
#include <thread>

namespace muster {
namespace {

namespace asio = boost::asio;

class HttpIoImpl final : public HttpIo {
 public:
  HttpIoImpl(const HttpServerOptions& options, std::string requestIdPrefix, const Logger& logger,
             HttpIoSink& sink)
      : door_(loop_, options, std::move(requestIdPrefix), logger, sink) {}

  ~HttpIoImpl() noexcept(false) override {
    asio::post(loop_, [this] { loop_.stop(); });
    if (thread_.joinable()) thread_.join();
    door_.end();
  }

  std::optional<Refusal> listen() {
    auto refusal = door_.listen();
    if (!refusal) startThread();
    return refusal;
  }

  uint16_t port() const override { return door_.port(); }

  Result<Done> reloadTls() override {
    auto fresh = door_.readTls();
    if (!fresh) return fresh.refusal();
    asio::post(loop_,
               [this, fresh = std::move(*fresh)]() mutable { door_.useTls(std::move(fresh)); });
    return Done{};
  }

  void answer(uint64_t exchange, HttpResponse response) override {
    tell(exchange, [response = std::move(response)](HttpConnection& connection) mutable {
      connection.answer(std::move(response), HttpBodyKind::WHOLE);
    });
  }
  void begin(uint64_t exchange, HttpResponse response) override {
    tell(exchange, [response = std::move(response)](HttpConnection& connection) mutable {
      connection.answer(std::move(response), HttpBodyKind::STREAMED);
    });
  }
  void append(uint64_t exchange, std::string piece) override {
    tell(exchange, [piece = std::move(piece)](HttpConnection& connection) mutable {
      connection.append(std::move(piece));
    });
  }
  void finish(uint64_t exchange, HttpStreamEnd end) override {
    tell(exchange, [end](HttpConnection& connection) { connection.finish(end); });
  }
  void drain() override {
    asio::post(loop_, [this] { door_.drain(); });
  }

 private:
  // Says something to the connection that still waits for this exchange.
  template <class Say>
  void tell(uint64_t exchange, Say say) {
    asio::post(loop_, [this, exchange, say = std::move(say)]() mutable {
      if (HttpConnection* connection = door_.waiting(exchange)) say(*connection);
    });
  }

  // Signals belong to the thread of the event loop: this one takes none.
  void startThread() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { loop_.run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  HttpDoor door_;
  asio::io_context loop_{1};
  std::thread thread_;
};

}  // namespace

Result<kj::Own<HttpIo>> HttpIo::start(const HttpServerOptions& options, std::string requestIdPrefix,
                                      const Logger& logger, HttpIoSink& sink) {
  auto io = kj::heap<HttpIoImpl>(options, std::move(requestIdPrefix), logger, sink);
  if (auto refusal = io->listen()) return std::move(*refusal);
  return kj::Own<HttpIo>(kj::mv(io));
}

}  // namespace muster
