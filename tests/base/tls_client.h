// A TLS client that is not ours: OpenSSL with blocking sockets in a thread, so that it may do what
// kj-tls would not.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <string>

namespace muster {

enum class TlsVersionLimit { NONE, TLS_1_2 };

struct ForeignTlsClient {
  std::string ca;
  std::string certificate;  // empty: none is shown
  std::string key;
  TlsVersionLimit maximumVersion = TlsVersionLimit::NONE;

  // Connects to 127.0.0.1 and reads one byte: "verdict 1", or what went wrong; "verdict 1, and
  // tickets" when it could resume the session. Does not check the server's name.
  kj::Promise<std::string> run(uint16_t port) const;
};

uint16_t portOf(const std::string& address);

}  // namespace muster
