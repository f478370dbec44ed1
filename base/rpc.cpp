#include "base/rpc.h"

#include "base/co.h"

#include <capnp/message.h>
#include <kj/debug.h>

#include <utility>

namespace muster {
namespace {

using capnp::rpc::twoparty::Side;
using VatId = capnp::rpc::twoparty::VatId;

capnp::ReaderOptions readerOptions(const RpcLimits& limits) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = limits.messageBytesMax / sizeof(capnp::word);
  return options;
}

capnp::RpcSystem<VatId> makeSystem(capnp::TwoPartyVatNetwork& network,
                                   kj::Maybe<capnp::Capability::Client> bootstrap) {
  KJ_IF_MAYBE (capability, bootstrap) {
    return capnp::makeRpcServer(network, kj::mv(*capability));
  }
  return capnp::makeRpcClient(network);
}

Co<kj::Own<RpcConnection>> connectCo(Transport& transport, kj::Timer& timer, std::string address,
                                     Role expectedRole, RpcLimits limits) {
  auto connection = co_await transport.connect(std::move(address), expectedRole);
  co_return kj::heap<RpcConnection>(kj::mv(connection), timer, Side::CLIENT, nullptr, limits);
}

}  // namespace

RpcConnection::RpcConnection(kj::Own<Connection> connection, kj::Timer& timer, Side side,
                             kj::Maybe<capnp::Capability::Client> bootstrap, RpcLimits limits)
    : connection_(kj::mv(connection)),
      network_(kj::heap<capnp::TwoPartyVatNetwork>(*connection_->stream, side,
                                                   readerOptions(limits), timer)),
      system_(makeSystem(*network_, kj::mv(bootstrap))) {
  system_.setFlowLimit(limits.inFlightBytesMax / sizeof(capnp::word));
  // Only from the first request on does a client read at all, and so hear that the server is gone.
  if (side == Side::CLIENT) peerBootstrap_ = askBootstrap();
}

RpcConnection::~RpcConnection() noexcept(false) = default;

capnp::Capability::Client RpcConnection::bootstrap() {
  KJ_IF_MAYBE (known, peerBootstrap_) {
    return *known;
  }
  return askBootstrap();
}

capnp::Capability::Client RpcConnection::askBootstrap() {
  capnp::MallocMessageBuilder message;
  auto peer = message.getRoot<VatId>();
  peer.setSide(network_->getSide() == Side::CLIENT ? Side::SERVER : Side::CLIENT);
  return system_.bootstrap(peer);
}

kj::Promise<kj::Own<RpcConnection>> connectRpc(Transport& transport, kj::Timer& timer,
                                               std::string address, Role expectedRole,
                                               RpcLimits limits) {
  return connectCo(transport, timer, std::move(address), expectedRole, limits);
}

RpcServer::RpcServer(kj::Timer& timer, MakeBootstrap makeBootstrap, RpcLimits limits)
    : timer_(timer), makeBootstrap_(kj::mv(makeBootstrap)), limits_(limits), tasks_("RPC server") {}

void RpcServer::accept(kj::Own<Connection> connection) {
  if (!hasRoomFor(*connection)) {
    KJ_LOG(WARNING, "connection closed: too many", connections_.size(),
           commonName(connection->peer).c_str(), connection->peerAddress.c_str());
    return;
  }
  auto id = nextId_++;
  auto capability = makeBootstrap_(RpcPeer{connection->peer, connection->peerAddress, id});
  connectionsOf_[connection->peer]++;
  auto rpc = kj::heap<RpcConnection>(kj::mv(connection), timer_, Side::SERVER, kj::mv(capability),
                                     limits_);
  tasks_.add(rpc->onDisconnect().then([this, id] { close(id); }));
  connections_.emplace(id, kj::mv(rpc));
}

kj::Function<void(kj::Own<Connection>)> RpcServer::acceptor() {
  return [this](kj::Own<Connection> connection) { accept(kj::mv(connection)); };
}

void RpcServer::close(RpcConnectionId id) {
  tasks_.add(kj::evalLater([this, id] { drop(id); }));
}

void RpcServer::closeAll() {
  for (auto& [id, connection] : connections_) close(id);
}

bool RpcServer::hasRoomFor(const Connection& connection) const {
  if (connections_.size() >= limits_.connectionsMax) return false;
  auto of = connectionsOf_.find(connection.peer);
  return of == connectionsOf_.end() || of->second < limits_.connectionsPerPeerMax;
}

void RpcServer::drop(RpcConnectionId id) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  auto of = connectionsOf_.find(found->second->peer());
  if (of != connectionsOf_.end() && --of->second == 0) connectionsOf_.erase(of);
  // Taken out first: destructors of capabilities may ask this server things.
  auto connection = kj::mv(found->second);
  connections_.erase(found);
}

}  // namespace muster
