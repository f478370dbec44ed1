// A TLS client on a blocking socket that may do what a well-behaved one would not: end its half of
// a connection, go away in the middle, show somebody else's certificate.
#pragma once

#include "base/tls_transport.h"

#include <kj/io.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace muster {

// How a read of a connection's rest ended.
enum class TlsEnd {
  WHOLE,   // with the peer's close_notify
  BROKEN,  // without it: an alert, a reset, or a bare end
};

class TlsPeer {
 public:
  // Connects to 127.0.0.1 and shakes hands. Trusts `files.ca`, shows `files.certificate` unless it
  // is empty; does not check the server's name. What goes wrong in the handshake is seen by the
  // first read. Throws when nobody listens.
  TlsPeer(uint16_t port, const TlsFiles& files);

  bool send(std::string_view bytes);  // false once the connection is broken
  // At most 64 KiB of what can be sent without waiting for longer than `patienceMs`; 0: nothing.
  size_t sendSome(std::string_view bytes, int patienceMs);
  void endSending();  // close_notify; reading goes on
  void vanish() { socket_ = nullptr; }

  std::string peerSerial() const;  // of the certificate that the other side has shown, in hex

  struct Rest {
    std::string bytes;
    TlsEnd end = TlsEnd::BROKEN;
  };
  Rest readToEnd();
  // Exactly so many bytes, or fewer when the connection ends before.
  std::string read(size_t count);

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> session_;
  kj::AutoCloseFd socket_;
};

}  // namespace muster
