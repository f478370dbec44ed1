// Reading certificates again while everything goes on: the signal that asks for it, and the
// transport that does it.
#pragma once

#include "base/event_loop.h"
#include "base/http_server.h"
#include "base/log.h"
#include "base/service_manager.h"
#include "base/tls_transport.h"

#include <kj/async.h>

namespace muster {

// SIGHUP of this process. Create it before the event loop and any thread.
class ReloadSignal {
 public:
  ReloadSignal();
  // Calls `reload` for each signal, until dropped. What it throws is its own business.
  kj::Promise<void> onEach(EventLoop& loop, kj::Function<void()> reload);
};

class ReloadableTransport : public Transport {
 public:
  // Reads the files again, for connections made from now on; those there are go on as they are.
  // Throws what makeTlsTransport() throws, and then keeps what it had.
  virtual void reload() = 0;
};

// makeTlsTransport() is this one for those who never reload.
kj::Own<ReloadableTransport> makeReloadableTransport(kj::Network& network, kj::Timer& timer,
                                                     ClusterName cluster, const TlsFiles& files,
                                                     TlsLimits limits = {});

// A daemon's certificates at all of its ports. What is borrowed outlives it.
class CertificateReload {
 public:
  // `http` may be null. Throws FAILED when the certificate cannot be read.
  CertificateReload(TlsFiles files, ReloadableTransport& transport, HttpServer* http,
                    ServiceManager& manager, Logger logger);
  // Takes the files as they are now, and says so. Files that cannot be used, or that are somebody
  // else's, are said to be so and change nothing.
  void run();

 private:
  Result<Done> tryIt();

  TlsFiles files_;
  std::string name_;  // of the certificate that the daemon began with
  ReloadableTransport& transport_;
  HttpServer* http_;
  ServiceManager& manager_;
  Logger logger_;
};

}  // namespace muster
