// Kept connections to replicas, of one thread.
#pragma once

#include "gateway/settings.h"
#include "gateway/upstream.h"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace muster::gateway {

class BackendPool {
 public:
  static constexpr size_t KEPT_MAX = 256;              // of one address
  static constexpr std::chrono::seconds KEPT_FOR{30};  // unused

  struct Connection {
    std::shared_ptr<Upstream> upstream;
    bool isReused = false;  // it may have been closed at the other end
  };

  BackendPool(boost::asio::io_context& loop, TlsContext tls, const Settings& settings)
      : loop_(loop), tls_(std::move(tls)), settings_(settings) {}

  // For connections made from now on.
  void useTls(TlsContext tls) { tls_ = std::move(tls); }

  // One that is open already and quiet, or nothing.
  std::shared_ptr<Upstream> takeKept(const std::string& address);
  // A new one, not connected.
  std::shared_ptr<Upstream> create() { return Upstream::create(loop_, tls_); }
  // Where a route leads, and who must answer there; nothing for an address that is not used.
  std::optional<Target> targetOf(const Route& route) const;

  void keep(const std::string& address, std::shared_ptr<Upstream> upstream);
  // Closes what was not used for a while, and all to addresses that are not routed any more.
  void sweep(const RouteTable& table);
  void clear();
  size_t kept() const;

 private:
  struct Kept {
    std::shared_ptr<Upstream> upstream;
    std::chrono::steady_clock::time_point since;
  };

  boost::asio::io_context& loop_;
  TlsContext tls_;
  const Settings& settings_;
  std::map<std::string, std::vector<Kept>> kept_;  // by address, the newest last
};

}  // namespace muster::gateway
