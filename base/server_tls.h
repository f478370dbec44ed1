// TLS of the ports that run on an asio loop: what a server shows, whom it trusts, who is there.
#pragma once

#include "base/result.h"
#include "base/tls_transport.h"
#include "base/transport.h"

#include <boost/asio/ssl/context.hpp>

#include <memory>
#include <optional>

namespace muster {

// Replaced as a whole when the files are read again; a connection goes on with the one that it
// began with.
using ServerTls = std::shared_ptr<boost::asio::ssl::context>;

// What the files hold now, for TLS 1.3 or later. A client's certificate is asked for and verified
// against `ca`; a client without one is let in, and peerIdentityOf() gives nothing for it. Refuses
// INVALID_VALUE naming the file that cannot be used.
Result<ServerTls> readServerTls(const TlsFiles& files);

// Who is at the other end of a session whose handshake is over. Nothing without a certificate, or
// when its common name is none of ours. The chain was verified in the handshake; here only the name
// is read.
std::optional<PeerIdentity> peerIdentityOf(SSL* session);

}  // namespace muster
