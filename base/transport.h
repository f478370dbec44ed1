// Who talks to whom, and over what: connections that carry Cap'n Proto messages and know who is at
// the other end. Production: tls_transport.h (mutual TLS 1.3). The simulation has a twin without
// TLS on the same interface.
#pragma once

#include <capnp/serialize-async.h>
#include <kj/async.h>
#include <kj/exception.h>
#include <kj/function.h>
#include <kj/memory.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

enum class Role : uint8_t { COORDINATOR, WORKER, GATEWAY, VIEWER, OPERATOR, ADMIN };
inline constexpr Role ALL_ROLES[] = {Role::COORDINATOR, Role::WORKER,   Role::GATEWAY,
                                     Role::VIEWER,      Role::OPERATOR, Role::ADMIN};

std::string_view toText(Role role);  // "coordinator"
std::optional<Role> parseRole(std::string_view text);

// Whether who holds `held` may do what `needed` may. Human roles include the lower ones (admin >
// operator > viewer); a machine's role includes only itself.
bool includes(Role held, Role needed);

// What a peer's certificate proves.
struct PeerIdentity {
  Role role = Role::VIEWER;
  std::string name;  // of the node, the coordinator or the person
  auto operator<=>(const PeerIdentity&) const = default;
};

// The form in a certificate's common name, "role/name", and back. Nothing when it is no such text.
std::string commonName(const PeerIdentity& identity);
std::optional<PeerIdentity> parseCommonName(std::string_view text);

// The name that clients look for in a server's certificate: "ROLE.CLUSTER.muster".
std::string serverName(Role role, std::string_view cluster);

struct Connection {
  kj::Own<capnp::MessageStream> stream;
  PeerIdentity peer;
  std::string peerAddress;  // for logs and audit; proves nothing
};

// Dropping it stops listening; connections already handed out go on.
class Listener {
 public:
  virtual ~Listener() noexcept(false) = default;
  virtual std::string address() const = 0;  // as given, with the real port where 0 was asked
};

// Must outlive its listeners and pending calls.
class Transport {
 public:
  virtual ~Transport() noexcept(false) = default;

  // Gives a connection only once both sides have verified each other. `address`: "host:port".
  // Throws DISCONNECTED when nobody answers there, OVERLOADED when it takes too long, and FAILED
  // when one side does not trust the other or the peer lacks `expectedRole`: trying again would not
  // help.
  virtual kj::Promise<kj::Own<Connection>> connect(std::string address, Role expectedRole) = 0;

  // `accept` gets verified connections only. It must not drop the listener.
  virtual kj::Promise<kj::Own<Listener>> listen(std::string address,
                                                kj::Function<void(kj::Own<Connection>)> accept) = 0;
};

// Whether a failed connect() says that nobody listens there any more: the kernel of the other
// machine answers, or the process went away while we were talking. A network that leads nowhere
// says nothing about the process.
bool nobodyListens(const kj::Exception& why);

}  // namespace muster
