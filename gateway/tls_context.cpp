#include "gateway/tls_context.h"

#include <openssl/ssl.h>

namespace muster::gateway {

namespace asio = boost::asio;

Result<TlsContext> readTls(const TlsFiles& files) {
  auto made = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  auto& context = *made;
  boost::system::error_code error;
  auto wrong = [&](const std::string& file) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "cannot use the TLS file " + file + ": " + error.message()};
  };
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_3_VERSION);
  context.set_verify_mode(asio::ssl::verify_peer);
  context.load_verify_file(files.ca, error);
  if (error) return wrong(files.ca);
  context.use_certificate_chain_file(files.certificate, error);
  if (error) return wrong(files.certificate);
  context.use_private_key_file(files.key, asio::ssl::context::pem, error);
  if (error) return wrong(files.key);
  return TlsContext(std::move(made));
}

}  // namespace muster::gateway
