#include "base/server_tls.h"

#include <openssl/ssl.h>

#include <array>
#include <utility>

namespace muster {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Adds the refusal for one step of the TLS set-up that failed.
void checkTls(const error_code& error, const std::string& file, std::optional<Refusal>& refusal) {
  if (!error || refusal) return;
  refusal = Refusal{RefusalCode::INVALID_VALUE,
                    "cannot use the TLS file " + file + ": " + error.message()};
}

std::optional<Refusal> configureTls(asio::ssl::context& context, const TlsFiles& files) {
  error_code error;
  std::optional<Refusal> refusal;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_3_VERSION);
  // Resumed sessions would carry an identity past the end of its certificate.
  SSL_CTX_set_session_cache_mode(context.native_handle(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.native_handle(), 0);
  context.set_verify_mode(asio::ssl::verify_peer, error);
  context.load_verify_file(files.ca, error);
  checkTls(error, files.ca, refusal);
  context.use_certificate_chain_file(files.certificate, error);
  checkTls(error, files.certificate, refusal);
  context.use_private_key_file(files.key, asio::ssl::context::pem, error);
  checkTls(error, files.key, refusal);
  return refusal;
}

}  // namespace

Result<ServerTls> readServerTls(const TlsFiles& files) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  if (auto refusal = configureTls(*context, files)) return std::move(*refusal);
  return ServerTls(std::move(context));
}

std::optional<PeerIdentity> peerIdentityOf(SSL* session) {
  X509* certificate = SSL_get1_peer_certificate(session);
  if (certificate == nullptr) return std::nullopt;
  std::array<char, 256> name{};
  int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                         name.data(), static_cast<int>(name.size()));
  X509_free(certificate);
  if (length <= 0) return std::nullopt;
  return parseCommonName({name.data(), static_cast<size_t>(length)});
}

}  // namespace muster
