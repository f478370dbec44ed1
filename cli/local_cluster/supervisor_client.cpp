#include "cli/local_cluster/supervisor_client.h"

#include "base/short_socket_path.h"
#include "base/unix_control.h"

#include <filesystem>

namespace muster::cli {

kj::Promise<kj::Maybe<kj::Own<RpcConnection>>> findSupervisor(EventLoop& loop,
                                                              const LocalLayout& layout) {
  using Found = kj::Maybe<kj::Own<RpcConnection>>;
  if (!std::filesystem::exists(layout.supervisorSocket())) return Found(nullptr);
  auto socket = kj::heap<ShortSocketPath>(layout.supervisorSocket());
  return connectUnix(loop.network(), socket->path)
      .then([&loop](kj::Own<Connection> connection) -> Found {
        return kj::heap<RpcConnection>(kj::mv(connection), loop.timer(),
                                       capnp::rpc::twoparty::Side::CLIENT, nullptr);
      })
      .attach(kj::mv(socket))
      .catch_([](kj::Exception&& exception) -> Found {
        // The socket of a supervisor that was killed: nobody listens. Anything else is worth an
        // error.
        if (exception.getType() == kj::Exception::Type::DISCONNECTED) return nullptr;
        kj::throwFatalException(kj::mv(exception));
      });
}

}  // namespace muster::cli
