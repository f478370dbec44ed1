#include "gateway/backend_pool.h"

#include "base/transport.h"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace muster::gateway {
namespace {

bool isLoopback(const std::string& host) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(host, error);
  return host == "localhost" || (!error && address.is_loopback());
}

}  // namespace

std::shared_ptr<Upstream> BackendPool::takeKept(const std::string& address) {
  auto found = kept_.find(address);
  if (found == kept_.end()) return nullptr;
  auto& connections = found->second;
  while (!connections.empty()) {
    auto upstream = std::move(connections.back().upstream);
    connections.pop_back();
    if (upstream->isQuiet()) return upstream;
    upstream->cancel();
  }
  return nullptr;
}

std::optional<Target> BackendPool::targetOf(const Route& route) const {
  auto target = parseEndpoint(route.address);
  if (!target) return std::nullopt;
  bool isAllowed =
      target->tls || settings_.plain == PlainBackends::ANYWHERE || isLoopback(target->host);
  if (!isAllowed) return std::nullopt;
  target->serverName = serverName(Role::WORKER, settings_.cluster.value);
  target->peer = commonName({Role::WORKER, route.node});
  return target;
}

void BackendPool::keep(const std::string& address, std::shared_ptr<Upstream> upstream) {
  auto& connections = kept_[address];
  if (connections.size() >= KEPT_MAX) return upstream->cancel();
  connections.push_back({std::move(upstream), std::chrono::steady_clock::now()});
}

void BackendPool::sweep(const RouteTable& table) {
  std::set<std::string> routed;
  for (const auto& [id, route] : table.routes()) routed.insert(route->address);
  auto oldest = std::chrono::steady_clock::now() - KEPT_FOR;
  for (auto entry = kept_.begin(); entry != kept_.end();) {
    bool isRouted = routed.contains(entry->first);
    std::erase_if(entry->second, [&](Kept& one) {
      bool goes = !isRouted || one.since < oldest;
      if (goes) one.upstream->cancel();
      return goes;
    });
    entry = entry->second.empty() ? kept_.erase(entry) : std::next(entry);
  }
}

void BackendPool::clear() {
  for (auto& [address, connections] : kept_) {
    for (auto& one : connections) one.upstream->cancel();
  }
  kept_.clear();
}

size_t BackendPool::kept() const {
  size_t count = 0;
  for (const auto& [address, connections] : kept_) count += connections.size();
  return count;
}

}  // namespace muster::gateway
