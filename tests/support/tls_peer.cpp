#include "tests/support/tls_peer.h"

#include <kj/debug.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

namespace muster {
namespace {

kj::AutoCloseFd connectTo(uint16_t port) {
  int fd = 0;
  KJ_SYSCALL(fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd owned(fd);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  KJ_SYSCALL(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), port);
  return owned;
}

}  // namespace

TlsPeer::TlsPeer(uint16_t port, const TlsFiles& files)
    : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), session_(nullptr, SSL_free) {
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to a socket that the peer may have closed
  SSL_CTX_load_verify_locations(context_.get(), files.ca.c_str(), nullptr);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  if (!files.certificate.empty()) {
    SSL_CTX_use_certificate_file(context_.get(), files.certificate.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_.get(), files.key.c_str(), SSL_FILETYPE_PEM);
  }
  session_.reset(SSL_new(context_.get()));
  socket_ = connectTo(port);
  SSL_set_fd(session_.get(), socket_);
  SSL_connect(session_.get());
  ERR_clear_error();
}

bool TlsPeer::send(std::string_view bytes) {
  ERR_clear_error();
  return SSL_write(session_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
}

size_t TlsPeer::sendSome(std::string_view bytes, int patienceMs) {
  constexpr size_t PIECE_MAX = 64 << 10;
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  SSL_set_mode(session_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  pollfd waiting{socket_, POLLOUT, 0};
  if (poll(&waiting, 1, patienceMs) != 1) return 0;
  int size = static_cast<int>(std::min(bytes.size(), PIECE_MAX));
  ERR_clear_error();
  int sent = SSL_write(session_.get(), bytes.data(), size);
  return sent > 0 ? static_cast<size_t>(sent) : 0;
}

void TlsPeer::endSending() { SSL_shutdown(session_.get()); }

std::string TlsPeer::peerSerial() const {
  std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(session_.get()),
                                                          X509_free);
  if (certificate == nullptr) return "";
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate.get());
  std::string hex;
  for (int i = 0; i < serial->length; ++i) {
    constexpr const char* DIGITS = "0123456789abcdef";
    hex += DIGITS[serial->data[i] >> 4];
    hex += DIGITS[serial->data[i] & 15];
  }
  return hex;
}

TlsPeer::Rest TlsPeer::readToEnd() {
  Rest rest;
  std::string piece(64 << 10, '\0');
  for (;;) {
    ERR_clear_error();
    int got = SSL_read(session_.get(), piece.data(), static_cast<int>(piece.size()));
    if (got > 0) {
      rest.bytes.append(piece, 0, static_cast<size_t>(got));
      continue;
    }
    bool isWhole = SSL_get_error(session_.get(), got) == SSL_ERROR_ZERO_RETURN;
    rest.end = isWhole ? TlsEnd::WHOLE : TlsEnd::BROKEN;
    return rest;
  }
}

std::string TlsPeer::read(size_t count) {
  std::string bytes(count, '\0');
  size_t filled = 0;
  while (filled < count) {
    ERR_clear_error();
    int got = SSL_read(session_.get(), bytes.data() + filled, static_cast<int>(count - filled));
    if (got <= 0) break;
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace muster
