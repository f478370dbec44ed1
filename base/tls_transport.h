// Transport over TCP with mutual TLS 1.3. Every certificate carries CN "role/name" and the DNS name
// "ROLE.CLUSTER.muster"; base/pki.h makes such certificates.
#pragma once

#include "base/ids.h"
#include "base/transport.h"
#include "base/units.h"

#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstdint>
#include <string>

namespace muster {

// Paths of PEM files. `ca` may hold several certificates: all are trusted.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
};

struct TlsLimits {
  Duration handshakeDeadline{5'000'000'000};  // connect and handshake together
  // Per listener. While so many are under way nobody else is accepted; the kernel's backlog holds
  // the others.
  uint32_t pendingHandshakesMax = 1024;
  // Per listener. After so many a pause, in which those who are connected have the loop: what a
  // thousand handshakes cost at once (0.7 ms each) would make a leader look dead.
  uint32_t acceptsAtOnce = 8;
  Duration acceptPause{6'000'000};
};

// Reads the files at once; throws FAILED naming the file that is missing or wrong.
kj::Own<Transport> makeTlsTransport(kj::Network& network, kj::Timer& timer, ClusterName cluster,
                                    const TlsFiles& files, TlsLimits limits = {});

}  // namespace muster
