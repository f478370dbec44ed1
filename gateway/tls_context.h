// The certificate that the gateway shows and whom it trusts, towards coordinators and replicas.
#pragma once

#include "base/result.h"
#include "base/tls_transport.h"

#include <boost/asio/ssl/context.hpp>

#include <memory>

namespace muster::gateway {

// Replaced as a whole when the files are read again; a connection goes on with the one that it
// began with.
using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

// What the files hold now. Refuses INVALID_VALUE for one that cannot be used.
Result<TlsContext> readTls(const TlsFiles& files);

}  // namespace muster::gateway
