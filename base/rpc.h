// Two-party Cap'n Proto over a Transport's connections: deadlines and limits in one place,
// destruction in the right order.
#pragma once

#include "base/tasks.h"
#include "base/transport.h"

#include <capnp/capability.h>
#include <capnp/rpc-twoparty.h>
#include <kj/function.h>
#include <kj/timer.h>

#include <cstdint>
#include <map>
#include <string>

namespace muster {

struct RpcLimits {
  uint64_t messageBytesMax = 32 << 20;  // of one message, and of what is read of it
  uint64_t inFlightBytesMax =
      64 << 20;  // of calls not yet answered, per connection; beyond it reading stops
  uint32_t connectionsMax = 20'000;     // of one server
  uint32_t connectionsPerPeerMax = 64;  // with one certificate name
};

// One connection with its RPC system. Calls in flight fail with DISCONNECTED when it goes or the
// peer does. Cap'n Proto has no keepalive: give every call a deadline.
//
// A method that runs on this side when the connection goes runs on, detached, and keeps its object
// alive, unless it called allowCancellation() on its context.
class RpcConnection {
 public:
  // `bootstrap`: what the peer gets when it asks; clients usually offer nothing. `timer` must
  // outlive this.
  RpcConnection(kj::Own<Connection> connection, kj::Timer& timer, capnp::rpc::twoparty::Side side,
                kj::Maybe<capnp::Capability::Client> bootstrap, RpcLimits limits = {});
  ~RpcConnection() noexcept(false);
  RpcConnection(const RpcConnection&) = delete;
  RpcConnection& operator=(const RpcConnection&) = delete;

  // What the peer offers.
  capnp::Capability::Client bootstrap();
  template <class Interface>
  typename Interface::Client bootstrap() {
    return bootstrap().castAs<Interface>();
  }

  kj::Promise<void> onDisconnect() { return network_->onDisconnect(); }
  const PeerIdentity& peer() const { return connection_->peer; }
  const std::string& peerAddress() const { return connection_->peerAddress; }

 private:
  capnp::Capability::Client askBootstrap();

  // The order matters: the RPC system goes first, then the network, then the stream.
  kj::Own<Connection> connection_;
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system_;
  kj::Maybe<capnp::Capability::Client> peerBootstrap_;
};

// Connects and starts RPC as the client. Throws as Transport::connect does.
kj::Promise<kj::Own<RpcConnection>> connectRpc(Transport& transport, kj::Timer& timer,
                                               std::string address, Role expectedRole,
                                               RpcLimits limits = {});

using RpcConnectionId = uint64_t;

// Who calls, as the maker of a bootstrap capability sees it.
struct RpcPeer {
  PeerIdentity identity;
  std::string address;
  RpcConnectionId connection = 0;
};

// Serves the connections it is given, each with a capability of its own, so that what a caller may
// do is decided by the certificate and not by what it says. The capability's destructor tells that
// the connection is gone.
class RpcServer {
 public:
  using MakeBootstrap = kj::Function<capnp::Capability::Client(const RpcPeer&)>;

  RpcServer(kj::Timer& timer, MakeBootstrap makeBootstrap, RpcLimits limits = {});

  // Beyond a limit the connection is closed at once, and logged.
  void accept(kj::Own<Connection> connection);
  // For Transport::listen; this server must outlive the listener.
  kj::Function<void(kj::Own<Connection>)> acceptor();

  // Closes one connection soon (not inside this call, so it may be used from one of its methods).
  void close(RpcConnectionId id);
  void closeAll();
  uint32_t connectionCount() const { return static_cast<uint32_t>(connections_.size()); }

 private:
  bool hasRoomFor(const Connection& connection) const;
  void drop(RpcConnectionId id);

  kj::Timer& timer_;
  MakeBootstrap makeBootstrap_;
  RpcLimits limits_;
  RpcConnectionId nextId_ = 1;
  std::map<PeerIdentity, uint32_t> connectionsOf_;
  std::map<RpcConnectionId, kj::Own<RpcConnection>> connections_;
  Tasks tasks_;
};

}  // namespace muster
