#include "tests/base/tls_client.h"

#include <kj/thread.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>

namespace muster {
namespace {

std::string lastError(const char* what) {
  char text[256];
  ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
  return std::string(what) + ": " + text;
}

// Counts in an int, which is the context's application data.
int countTicket(SSL* connection, SSL_SESSION*) {
  ++*static_cast<int*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
  return 0;
}

std::string talk(const ForeignTlsClient& client, uint16_t port) {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                            SSL_CTX_free);
  SSL_CTX_load_verify_locations(context.get(), client.ca.c_str(), nullptr);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (client.maximumVersion == TlsVersionLimit::TLS_1_2) {
    SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  }
  if (!client.certificate.empty()) {
    SSL_CTX_use_certificate_file(context.get(), client.certificate.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context.get(), client.key.c_str(), SSL_FILETYPE_PEM);
  }
  int tickets = 0;
  SSL_CTX_set_app_data(context.get(), &tickets);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), countTicket);
  std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_ssl_connect(context.get()),
                                                    BIO_free_all);
  BIO_set_conn_hostname(bio.get(), ("127.0.0.1:" + std::to_string(port)).c_str());
  if (BIO_do_connect(bio.get()) != 1) return lastError("connect");
  unsigned char verdict = 0;
  if (BIO_read(bio.get(), &verdict, 1) != 1) return lastError("read");
  return "verdict " + std::to_string(verdict) + (tickets > 0 ? ", and tickets" : "");
}

}  // namespace

kj::Promise<std::string> ForeignTlsClient::run(uint16_t port) const {
  auto outcome = kj::newPromiseAndCrossThreadFulfiller<std::string>();
  auto thread =
      kj::heap<kj::Thread>([client = *this, port, fulfiller = kj::mv(outcome.fulfiller)]() mutable {
        fulfiller->fulfill(talk(client, port));
      });
  return outcome.promise.attach(kj::mv(thread));
}

uint16_t portOf(const std::string& address) {
  return static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

}  // namespace muster
