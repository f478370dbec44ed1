#include "failover/server_list.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <set>

namespace muster::failover {
namespace {

Refusal invalid(std::string text) { return Refusal{RefusalCode::INVALID_VALUE, std::move(text)}; }

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string hostOf(const std::string& address) {  // "[::1]:2181" and "10.0.0.1:2888:3888"
  if (!address.empty() && address[0] == '[') return address.substr(1, address.find(']') - 1);
  return address.substr(0, address.find(':'));
}

bool isIpAddress(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

bool isPort(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

struct Member {
  std::string host;
  std::string clientAddress;  // empty: not stated
};

std::vector<Member> membersOf(const std::string& config) {
  std::vector<Member> members;
  for (const std::string& line : split(config, '\n')) {
    size_t equals = line.find('=');
    if (line.rfind("server.", 0) != 0 || equals == std::string::npos) continue;
    std::string value = line.substr(equals + 1);
    size_t semicolon = value.find(';');
    Member member{hostOf(value), semicolon == std::string::npos ? "" : value.substr(semicolon + 1)};
    if (member.clientAddress.rfind("0.0.0.0:", 0) == 0) {  // "any address": the host says which
      member.clientAddress = member.host + member.clientAddress.substr(7);
    }
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace

Result<std::vector<std::string>> parseServerList(std::string_view text) {
  std::vector<std::string> servers = split(text, ',');
  if (servers.empty()) return invalid("no ZooKeeper server is given");
  for (const std::string& server : servers) {
    size_t colon = server.rfind(':');
    if (colon == std::string::npos || !isPort(std::string_view(server).substr(colon + 1))) {
      return invalid("ZooKeeper server \"" + server + "\" has no port, wanted ADDRESS:PORT");
    }
    if (!isIpAddress(hostOf(server))) {
      return invalid("ZooKeeper server \"" + server +
                     "\" is no IP address: a name would block the coordinator");
    }
    if (std::count(servers.begin(), servers.end(), server) > 1) {
      return invalid("ZooKeeper server \"" + server + "\" is given twice");
    }
  }
  return servers;
}

Result<Done> compareServerList(const std::string& config, const std::vector<std::string>& servers) {
  std::vector<Member> members = membersOf(config);
  size_t expected = std::max<size_t>(members.size(), 1);  // a server of its own has no list
  if (servers.size() != expected) {
    return invalid("the ensemble has " + std::to_string(expected) +
                   " servers, this coordinator is given " + std::to_string(servers.size()));
  }
  std::multiset<std::string> hosts;
  for (const std::string& server : servers) hosts.insert(hostOf(server));
  for (const Member& member : members) {
    auto host = hosts.find(member.host);
    if (host == hosts.end())
      return invalid("server " + member.host +
                     " of the ensemble is not in this coordinator's list");
    hosts.erase(host);
    bool listed = std::find(servers.begin(), servers.end(), member.clientAddress) != servers.end();
    if (!member.clientAddress.empty() && !listed) {
      return invalid("server " + member.clientAddress +
                     " of the ensemble is not in this coordinator's list");
    }
  }
  return Done{};
}

kj::Promise<Result<Done>> verifyServerList(CoordinationSession& session,
                                           std::vector<std::string> servers) {
  return session.get("/zookeeper/config")
      .then([servers = std::move(servers)](GetResult&& got) -> Result<Done> {
        if (got.code != ZkCode::OK) {
          return Refusal{RefusalCode::STORE_UNREACHABLE,
                         "the ensemble's list of servers could not be read"};
        }
        return compareServerList(got.data, servers);
      });
}

}  // namespace muster::failover
