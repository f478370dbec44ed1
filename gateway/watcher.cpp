#include "gateway/watcher.h"

#include "base/files.h"
#include "base/transport.h"
#include "gateway/route_events.h"
#include "gateway/upstream.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>
#include <vector>

namespace muster::gateway {
namespace {

namespace asio = boost::asio;

constexpr Duration CONNECT_DEADLINE = 2_s;
constexpr Duration ANSWER_DEADLINE = 5_s;
constexpr BackoffPolicy BACKOFF{50_ms, 2_s};
constexpr std::chrono::milliseconds SAVE_AFTER{200};
constexpr Bytes VIEW_MAX = 256_MiB;

int64_t steadyNanos() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string viewFile(const Settings& settings) { return settings.dataDirectory + "/view.json"; }

}  // namespace

Watcher::Watcher(asio::io_context& loop, TlsContext tls, const Settings& settings,
                 const Logger& logger, OnTable onTable)
    : loop_(loop),
      tls_(std::move(tls)),
      settings_(settings),
      logger_(logger),
      onTable_(std::move(onTable)),
      pause_(loop),
      saving_(loop) {}

void Watcher::start() {
  load();
  asio::co_spawn(loop_, run(), asio::detached);
}

// The view of an earlier life serves until a coordinator tells a newer one.
void Watcher::load() {
  auto text = readFile(viewFile(settings_), VIEW_MAX);
  if (!text) return;
  auto table = parseRouteTable(*text);
  if (!table) {
    logger_.warn("the kept view cannot be read and is not used",
                 {{"file", viewFile(settings_)}, {"cause", table.refusal().text}});
    return;
  }
  table_ = std::move(*table);
  logger_.info("serving the view of an earlier life until a coordinator is heard",
               {{"index", table_.position()->index}, {"routes", table_.routes().size()}});
  onTable_(std::make_shared<const RouteTable>(table_));
  facts_.index = table_.position()->index.value;
}

void Watcher::save() {
  auto written = writeFileAtomically(viewFile(settings_), toJson(table_), 0600);
  if (!written) logger_.warn("the view cannot be kept", {{"cause", written.refusal().text}});
}

asio::awaitable<void> Watcher::run() {
  const auto& coordinators = settings_.coordinators;
  size_t which = random_.below(coordinators.size());
  Backoff backoff(BACKOFF, random_);
  for (;; which = (which + 1) % coordinators.size()) {
    heard_ = false;
    std::string why = co_await watch(coordinators[which]);
    bool was = facts_.watching.exchange(false);
    if (was || backoff.tries() == 0) {
      logger_.warn("not watching this coordinator any more; the last view is kept",
                   {{"coordinator", coordinators[which]}, {"cause", why}});
    }
    if (heard_) backoff.reset();
    pause_.expires_after(std::chrono::nanoseconds(backoff.next().nanos));
    boost::system::error_code ignored;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

// Returns why it ended.
asio::awaitable<std::string> Watcher::watch(std::string address) {
  size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Target target{host, address.substr(colon + 1), true,
                serverName(Role::COORDINATOR, settings_.cluster.value), ""};
  auto upstream = Upstream::create(loop_, tls_);
  auto failure = co_await upstream->connect(std::move(target), CONNECT_DEADLINE);
  if (failure) co_return upstream->trouble();
  UpstreamRequest request{
      "GET", "/api/v1/watch?kinds=route", {{"Accept", "text/event-stream"}}, ""};
  if (table_.position()) request.headers["Last-Event-ID"] = toText(*table_.position());
  failure = co_await upstream->send(std::move(request), CONNECT_DEADLINE);
  if (failure) co_return upstream->trouble();
  std::string why = co_await follow(upstream);
  upstream->cancel();
  co_return why;
}

asio::awaitable<std::string> Watcher::follow(std::shared_ptr<Upstream> upstream) {
  auto head = co_await upstream->readHead(ANSWER_DEADLINE);
  if (std::holds_alternative<Failure>(head)) co_return upstream->trouble();
  int status = std::get<UpstreamHead>(head).status;
  if (status != 200) co_return "it answered " + std::to_string(status);
  SseReader reader;
  std::vector<SseEvent> events;
  for (;;) {
    auto piece = co_await upstream->readPiece(SILENCE_MAX);
    if (std::holds_alternative<Failure>(piece)) co_return upstream->trouble();
    const auto& bytes = std::get<std::string>(piece);
    if (bytes.empty()) co_return "it ended the stream";
    facts_.heardAt = steadyNanos();
    facts_.watching = true;
    heard_ = true;
    events.clear();
    if (!reader.feed(bytes, events)) co_return "an event is too large";
    for (const auto& event : events) {
      std::string why = take(event);
      if (!why.empty()) co_return why;
    }
  }
}

// Empty, or why this coordinator is not followed any longer.
std::string Watcher::take(const SseEvent& event) {
  auto parsed = parseRouteEvent(event.name, event.data);
  if (!parsed) return parsed.refusal().text;
  ViewPosition position = parsed->position;
  switch (table_.take(std::move(*parsed))) {
    case RouteTable::Taken::YES:
      publish();
      return "";
    case RouteTable::Taken::OLD:
      return "it is behind: it tells of " + toText(position);
    case RouteTable::Taken::FOREIGN:
      logger_.error("a coordinator tells of another cluster's log, whose history has our number",
                    {{"its", toText(position)}, {"ours", toText(*table_.position())}});
      return "it is of another cluster";
  }
  return "";
}

void Watcher::publish() {
  facts_.index = table_.position()->index.value;
  onTable_(std::make_shared<const RouteTable>(table_));
  if (std::exchange(savePending_, true)) return;
  saving_.expires_after(SAVE_AFTER);
  saving_.async_wait([this](const boost::system::error_code& error) {
    savePending_ = false;
    if (!error) save();
  });
}

}  // namespace muster::gateway
