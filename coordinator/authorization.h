// Who may call what: one table for every method that a coordinator or a worker serves, asked in one
// place, before a call reaches its method. What has no row is denied.
#pragma once

#include "base/log.h"
#include "base/transport.h"

#include <capnp/capability.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace muster::coordinator {

// Roles of which a caller must hold (or include) one.
class RoleSet {
 public:
  template <class... Roles>
  static constexpr RoleSet of(Roles... roles) {
    return RoleSet(static_cast<uint8_t>((0u | ... | (1u << static_cast<unsigned>(roles)))));
  }
  constexpr bool contains(Role role) const { return (bits_ >> static_cast<unsigned>(role)) & 1u; }
  // Whether who holds `held` may do what one of these may.
  bool admits(Role held) const;

 private:
  explicit constexpr RoleSet(uint8_t bits) : bits_(bits) {}
  uint8_t bits_;
};

struct Permission {
  uint64_t interfaceId;
  uint16_t methodId;
  std::string_view method;  // "ClusterApi.apply", for texts; a test compares it with the schema
  RoleSet allowed;
};

std::span<const Permission> allPermissions();

// Nothing when the caller may; else the exception to answer with (FAILED, "E0202 not allowed:
// ..."), the same whether the method exists or not.
kj::Maybe<kj::Exception> denial(const PeerIdentity& caller, uint64_t interfaceId,
                                uint16_t methodId);

// kj's servers have no virtual destructor of their own; they are owned by kj::Own of their own
// type.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Base of every capability that is handed to a peer: asks the table, with the identity of the
// peer's certificate, before each call.
template <class Interface>
class Authorized : public Interface::Server {
 public:
  Authorized(PeerIdentity caller, Logger logger)
      : caller_(kj::mv(caller)), logger_(kj::mv(logger)) {}
  virtual ~Authorized() noexcept(false) = default;

  capnp::Capability::Server::DispatchCallResult dispatchCall(
      uint64_t interfaceId, uint16_t methodId,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) final {
    KJ_IF_MAYBE (no, denial(caller_, interfaceId, methodId)) {
      logger_.warn("call denied", {{"caller", commonName(caller_)}, {"why", no->getDescription()}});
      return {kj::mv(*no), false};
    }
    return Interface::Server::dispatchCall(interfaceId, methodId, context);
  }

 protected:
  const PeerIdentity& caller() const { return caller_; }
  const Logger& logger() const { return logger_; }

 private:
  PeerIdentity caller_;
  Logger logger_;
};

#pragma GCC diagnostic pop

}  // namespace muster::coordinator
