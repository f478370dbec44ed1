// The kj side of the HTTP port: runs handlers, cancels them, carries answers to the HTTP thread.
#include "base/http_server.h"

#include "base/co.h"
#include "base/http_io.h"

#include <kj/debug.h>

#include <map>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

namespace muster {
namespace {

struct Arrived {
  uint64_t exchange;
  HttpRequest request;
};
struct Cancelled {
  uint64_t exchange;
};
struct RoomMade {
  uint64_t exchange;
};
struct Drained {};
using Event = std::variant<Arrived, Cancelled, RoomMade, Drained>;

// What the HTTP thread has to say, in order. The only thing both threads touch.
class EventQueue final : public HttpIoSink {
 public:
  void onRequest(uint64_t exchange, HttpRequest request) override {
    push(Arrived{exchange, std::move(request)});
  }
  void onCancel(uint64_t exchange) override { push(Cancelled{exchange}); }
  void onRoom(uint64_t exchange) override { push(RoomMade{exchange}); }
  void onDrained() override { push(Drained{}); }

  // Called on the kj loop, one at a time: events as soon as there are any.
  kj::Promise<std::vector<Event>> take() {
    std::lock_guard lock(mutex_);
    if (!events_.empty()) return std::exchange(events_, {});
    auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
    waker_ = kj::mv(paf.fulfiller);
    return paf.promise.then([this] { return take(); });
  }

 private:
  void push(Event event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    KJ_IF_MAYBE (waker, waker_) {
      (*waker)->fulfill();
      waker_ = nullptr;
    }
  }

  std::mutex mutex_;
  std::vector<Event> events_;
  kj::Maybe<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> waker_;
};

class HttpServerImpl final : public HttpServer, private kj::TaskSet::ErrorHandler {
 public:
  HttpServerImpl(HttpHandler handler, const Logger& logger)
      : handler_(kj::mv(handler)), logger_(logger), tasks_(*this) {}

  Result<Done> listen(const HttpServerOptions& options, Random& random) {
    auto io = HttpIo::start(options, toText(random.guid()).substr(0, 16), logger_, queue_);
    if (!io) return io.refusal();
    io_ = kj::mv(*io);
    tasks_.add(pump());
    return Done{};
  }

  uint16_t port() const override { return io_->port(); }
  Result<Done> reloadTls() override { return io_->reloadTls(); }

  kj::Promise<void> drain() override {
    auto paf = kj::newPromiseAndFulfiller<void>();
    if (drained_) return kj::READY_NOW;
    drainers_.push_back(kj::mv(paf.fulfiller));
    io_->drain();
    return kj::mv(paf.promise);
  }

 private:
  kj::Promise<void> pump() {
    return queue_.take().then([this](std::vector<Event> events) {
      for (auto& event : events) {
        std::visit([this](auto& what) { handle(what); }, event);
      }
      return pump();
    });
  }

  void handle(Arrived& arrived) {
    uint64_t exchange = arrived.exchange;
    std::string requestId = arrived.request.requestId;
    auto canceler = kj::heap<kj::Canceler>();
    auto answer = canceler->wrap(kj::evalNow([&] { return handler_(std::move(arrived.request)); }));
    running_.emplace(exchange, kj::mv(canceler));
    tasks_.add(answer.then(
        [this, exchange, requestId](HttpResponse response) {
          if (running_.erase(exchange) == 0) return;
          if (response.stream != nullptr) {
            beginStream(exchange, requestId, std::move(response));
          } else {
            io_->answer(exchange, std::move(response));
          }
        },
        [this, exchange, requestId](kj::Exception&& exception) {
          if (running_.erase(exchange) > 0) answerFailure(exchange, requestId, exception);
        }));
  }

  void handle(Cancelled& cancelled) {
    auto node =
        running_.extract(cancelled.exchange);  // absent when the answer was on its way already
    rooms_.erase(cancelled.exchange);
    if (!node.empty()) node.mapped()->cancel("the client went away");
  }

  // The stream stays on this thread; its pieces go over one by one.
  void beginStream(uint64_t exchange, const std::string& requestId, HttpResponse response) {
    auto stream = std::exchange(response.stream, nullptr);
    auto canceler = kj::heap<kj::Canceler>();
    auto sent = canceler->wrap(send(exchange, kj::mv(stream)).asPromise());
    running_.emplace(exchange, kj::mv(canceler));
    io_->begin(exchange, std::move(response));
    tasks_.add(sent.then(
        [this, exchange] { endStream(exchange, HttpStreamEnd::COMPLETE); },
        [this, exchange, requestId](kj::Exception&& exception) {
          if (running_.count(exchange) == 0) return;  // its client is gone
          logger_.warn("http stream broke off", {{"request_id", requestId}, {"cause", exception}});
          endStream(exchange, HttpStreamEnd::BROKEN);
        }));
  }

  void endStream(uint64_t exchange, HttpStreamEnd end) {
    rooms_.erase(exchange);
    if (running_.erase(exchange) > 0) io_->finish(exchange, end);
  }

  Co<void> send(uint64_t exchange, std::shared_ptr<HttpBodyStream> stream) {
    for (;;) {
      co_await room(exchange);
      auto piece = co_await stream->next();
      if (!piece) co_return;
      io_->append(exchange, std::move(*piece));
    }
  }

  kj::Promise<void> room(uint64_t exchange) {
    auto paf = kj::newPromiseAndFulfiller<void>();
    rooms_[exchange] = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  void handle(RoomMade& made) {
    auto waiting = rooms_.find(made.exchange);
    if (waiting != rooms_.end()) waiting->second->fulfill();
  }

  void handle(Drained&) {
    drained_ = true;
    for (auto& drainer : drainers_) drainer->fulfill();
    drainers_.clear();
  }

  void answerFailure(uint64_t exchange, const std::string& requestId,
                     const kj::Exception& exception) {
    bool passing = exception.getType() == kj::Exception::Type::OVERLOADED ||
                   exception.getType() == kj::Exception::Type::DISCONNECTED;
    logger_.error("http handler failed", {{"request_id", requestId}, {"cause", exception}});
    Refusal refusal =
        passing ? Refusal{RefusalCode::OVERLOADED, "the request could not be served now"}
                : Refusal{RefusalCode::INTERNAL, "the request failed; the log has the details"};
    io_->answer(exchange, problemResponse(refusal, requestId));
  }

  void taskFailed(kj::Exception&& exception) override {
    logger_.error("http server task failed", {{"cause", exception}});
  }

  HttpHandler handler_;
  Logger logger_;
  EventQueue queue_;
  std::map<uint64_t, kj::Own<kj::Canceler>> running_;
  std::map<uint64_t, kj::Own<kj::PromiseFulfiller<void>>> rooms_;  // streams' next pieces
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> drainers_;
  bool drained_ = false;
  kj::TaskSet tasks_;
  kj::Own<HttpIo> io_;  // ends first: its thread feeds the queue
};

}  // namespace

Result<kj::Own<HttpServer>> HttpServer::start(const HttpServerOptions& options, HttpHandler handler,
                                              const Logger& logger, Random& random) {
  auto server = kj::heap<HttpServerImpl>(kj::mv(handler), logger);
  auto listening = server->listen(options, random);
  if (!listening) return listening.refusal();
  return kj::Own<HttpServer>(kj::mv(server));
}

}  // namespace muster
