// Learns the routes from the coordinators' event stream, and keeps the last view when none answers.
#pragma once

#include "base/backoff.h"
#include "base/random.h"
#include "gateway/route_table.h"
#include "gateway/settings.h"
#include "gateway/sse_reader.h"
#include "gateway/upstream.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <kj/common.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace muster::gateway {

// What others may ask about the watching, from any thread.
struct WatchFacts {
  std::atomic<bool> watching{false};
  std::atomic<uint64_t> index{0};
  std::atomic<int64_t> heardAt{0};  // steady nanoseconds; 0: never in this process
};

class Watcher {
 public:
  using OnTable = std::function<void(std::shared_ptr<const RouteTable>)>;

  // A coordinator that says nothing for so long is left for another; it sends a comment each 15 s.
  static constexpr Duration SILENCE_MAX = 40_s;

  // Starts from what an earlier life has kept, if anything. Everything is borrowed and outlives
  // this.
  Watcher(boost::asio::io_context& loop, TlsContext tls, const Settings& settings,
          const Logger& logger, OnTable onTable);
  KJ_DISALLOW_COPY(Watcher);

  void start();
  void useTls(TlsContext tls) { tls_ = std::move(tls); }  // for connections made from now on
  const WatchFacts& facts() const { return facts_; }

 private:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;

  void load();
  void save();
  Awaitable<void> run();
  Awaitable<std::string> watch(std::string address);
  Awaitable<std::string> follow(std::shared_ptr<Upstream> upstream);
  std::string take(const SseEvent& event);
  void publish();

  boost::asio::io_context& loop_;
  TlsContext tls_;
  const Settings& settings_;
  const Logger& logger_;
  OnTable onTable_;
  SystemRandom random_;
  RouteTable table_;
  WatchFacts facts_;
  bool heard_ = false;  // from the coordinator that is being watched
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer saving_;
  bool savePending_ = false;
};

}  // namespace muster::gateway
