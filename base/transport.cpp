#include "base/transport.h"

#include <kj/debug.h>

namespace muster {
namespace {

// Human roles from the lowest to the highest; 0 for machines.
int humanRank(Role role) {
  switch (role) {
    case Role::VIEWER:
      return 1;
    case Role::OPERATOR:
      return 2;
    case Role::ADMIN:
      return 3;
    default:
      return 0;
  }
}

// The letters of names everywhere (a-z, 0-9, hyphen): nothing that could be taken for a path, a
// pattern or markup.
bool isNameText(std::string_view text) {
  return !text.empty() && text.size() <= 63 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

std::string_view toText(Role role) {
  switch (role) {
    case Role::COORDINATOR:
      return "coordinator";
    case Role::WORKER:
      return "worker";
    case Role::GATEWAY:
      return "gateway";
    case Role::VIEWER:
      return "viewer";
    case Role::OPERATOR:
      return "operator";
    case Role::ADMIN:
      return "admin";
  }
  KJ_UNREACHABLE;
}

std::optional<Role> parseRole(std::string_view text) {
  for (Role role : ALL_ROLES) {
    if (toText(role) == text) return role;
  }
  return std::nullopt;
}

bool includes(Role held, Role needed) {
  if (held == needed) return true;
  return humanRank(needed) > 0 && humanRank(held) > humanRank(needed);
}

std::string commonName(const PeerIdentity& identity) {
  return std::string(toText(identity.role)) + "/" + identity.name;
}

std::optional<PeerIdentity> parseCommonName(std::string_view text) {
  auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  auto role = parseRole(text.substr(0, slash));
  auto name = text.substr(slash + 1);
  if (!role || !isNameText(name)) return std::nullopt;
  return PeerIdentity{*role, std::string(name)};
}

std::string serverName(Role role, std::string_view cluster) {
  return std::string(toText(role)) + "." + std::string(cluster) + ".muster";
}

bool nobodyListens(const kj::Exception& why) {
  if (why.getType() != kj::Exception::Type::DISCONNECTED) return false;
  std::string_view text(why.getDescription().cStr());
  for (std::string_view lost : {"No route to host", "Network is unreachable", "timed out",
                                "Network is down", "Host is down"}) {
    if (text.find(lost) != std::string_view::npos) return false;
  }
  return true;
}

}  // namespace muster
