#include "base/pki.h"

#include "base/files.h"

#include <kj/debug.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <memory>
#include <sys/stat.h>
#include <time.h>

namespace muster {
namespace {

constexpr Duration CA_VALIDITY{3650 * 86'400'000'000'000};
constexpr Duration CLOCK_SKEW{300'000'000'000};
constexpr Bytes PEM_MAX{1 << 20};
constexpr mode_t PUBLIC_MODE = 0644;
constexpr mode_t PRIVATE_MODE = 0600;
constexpr int SERIAL_BYTES = 16;

template <auto FREE>
struct Freer {
  template <class T>
  void operator()(T* thing) const {
    FREE(thing);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

void sslCheck(bool ok, const char* what) {
  if (ok) return;
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof(text));
  ERR_clear_error();
  KJ_FAIL_REQUIRE(what, text);
}

Bio readable(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string contentOf(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

std::string readPem(const std::string& path) {
  auto content = readFile(path, PEM_MAX);
  KJ_REQUIRE(content.ok(), "cannot read the PEM file", path.c_str(),
             content.refusal().text.c_str());
  return *content;
}

void writePem(const std::string& path, const std::string& text, mode_t mode) {
  auto written = writeFileAtomically(path, text, mode);
  KJ_REQUIRE(written.ok(),
             kj::str(toText(written.refusal().code).c_str(), " ", written.refusal().text.c_str()));
}

Certificate parsePem(const std::string& pem) {
  auto bio = readable(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  sslCheck(certificate != nullptr, "no certificate in the PEM text");
  return certificate;
}

Key newKey() {
  Key key(EVP_EC_gen("P-256"));
  sslCheck(key != nullptr, "generate an EC P-256 key");
  return key;
}

void writeKey(const std::string& path, EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  sslCheck(
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
      "write a private key");
  writePem(path, contentOf(bio.get()), PRIVATE_MODE);
}

void writeCertificate(const std::string& path, X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()));
  sslCheck(PEM_write_bio_X509(bio.get(), certificate) == 1, "write a certificate");
  writePem(path, contentOf(bio.get()), PUBLIC_MODE);
}

void setRandomSerial(X509* certificate) {
  unsigned char bytes[SERIAL_BYTES];
  sslCheck(RAND_bytes(bytes, SERIAL_BYTES) == 1, "draw a serial number");
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, of full length
  BigNumber number(BN_bin2bn(bytes, SERIAL_BYTES, nullptr));
  sslCheck(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
           "set the serial number");
}

void setSubject(X509* certificate, const std::string& commonName) {
  auto name = X509_get_subject_name(certificate);
  auto text = reinterpret_cast<const unsigned char*>(commonName.data());
  sslCheck(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text,
                                      static_cast<int>(commonName.size()), -1, 0) == 1,
           "set the common name (64 characters at most)");
}

void setValidity(X509* certificate, Duration notBefore, Duration notAfter) {
  X509_gmtime_adj(X509_getm_notBefore(certificate), notBefore.millis() / 1000);
  X509_gmtime_adj(X509_getm_notAfter(certificate), notAfter.millis() / 1000);
}

void addExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  sslCheck(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1,
           value.c_str());
}

// Everything but the extensions and the signature.
Certificate draft(const std::string& commonName, EVP_PKEY* key, Duration notBefore,
                  Duration notAfter) {
  Certificate certificate(X509_new());
  sslCheck(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1,
           "draft a certificate");
  setRandomSerial(certificate.get());
  setSubject(certificate.get(), commonName);
  setValidity(certificate.get(), notBefore, notAfter);
  sslCheck(X509_set_pubkey(certificate.get(), key) == 1, "set the public key");
  return certificate;
}

void sign(X509* certificate, X509* issuer, EVP_PKEY* issuerKey) {
  sslCheck(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
               X509_sign(certificate, issuerKey, EVP_sha256()) > 0,
           "sign a certificate");
}

std::string alternativeNames(const CertificateRequest& request) {
  auto names = "DNS:" + serverName(request.identity.role, request.cluster.value) +
               ",DNS:localhost,IP:127.0.0.1,IP:::1";
  for (auto& address : request.ipAddresses) names += ",IP:" + address;
  return names;
}

std::string textOf(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<size_t>(ASN1_STRING_length(string))};
}

std::string addressText(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = "?";
  int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof(text));
  return text;
}

std::string commonNameOf(X509* certificate) {
  auto name = X509_get_subject_name(certificate);
  int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  return textOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

WallTime timeOf(const ASN1_TIME* time) {
  tm parts{};
  sslCheck(ASN1_TIME_to_tm(time, &parts) == 1, "read a certificate's time");
  return {int64_t{timegm(&parts)} * 1000};
}

void readAlternativeNames(X509* certificate, CertificateFacts& facts) {
  Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); i++) {
    auto name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) facts.dnsNames.push_back(textOf(name->d.dNSName));
    if (name->type == GEN_IPADD) facts.ipAddresses.push_back(addressText(name->d.iPAddress));
  }
}

}  // namespace

void createCa(const std::string& folder, const ClusterName& cluster) {
  auto certificatePath = folder + "/ca.crt";
  auto keyPath = folder + "/ca.key";
  struct stat existing {};
  for (auto& path : {certificatePath, keyPath}) {
    KJ_REQUIRE(lstat(path.c_str(), &existing) != 0, "there is an authority already", path.c_str());
  }
  auto key = newKey();
  auto ca = draft("muster CA " + cluster.value.substr(0, 50), key.get(), Duration{} - CLOCK_SKEW,
                  CA_VALIDITY);
  addExtension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  addExtension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  addExtension(ca.get(), ca.get(), NID_subject_key_identifier, "hash");
  sign(ca.get(), ca.get(), key.get());
  writeKey(keyPath, key.get());
  writeCertificate(certificatePath, ca.get());
}

TlsFiles issueCertificate(const std::string& caFolder, const CertificateRequest& request,
                          const std::string& folder) {
  auto ca = parsePem(readPem(caFolder + "/ca.crt"));
  auto keyPem = readPem(caFolder + "/ca.key");
  Key caKey(PEM_read_bio_PrivateKey(readable(keyPem).get(), nullptr, nullptr, nullptr));
  sslCheck(caKey != nullptr, "read the authority's key");
  auto key = newKey();
  auto leaf = draft(commonName(request.identity), key.get(), request.notBefore, request.notAfter);
  addExtension(leaf.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE");
  addExtension(leaf.get(), ca.get(), NID_key_usage, "critical,digitalSignature");
  addExtension(leaf.get(), ca.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  addExtension(leaf.get(), ca.get(), NID_subject_key_identifier, "hash");
  addExtension(leaf.get(), ca.get(), NID_authority_key_identifier, "keyid");
  addExtension(leaf.get(), ca.get(), NID_subject_alt_name, alternativeNames(request));
  sign(leaf.get(), ca.get(), caKey.get());
  auto stem =
      folder + "/" + std::string(toText(request.identity.role)) + "-" + request.identity.name;
  TlsFiles files{caFolder + "/ca.crt", stem + ".crt", stem + ".key"};
  writeKey(files.key, key.get());
  writeCertificate(files.certificate, leaf.get());
  return files;
}

CertificateFacts parseCertificate(const std::string& pem) {
  auto certificate = parsePem(pem);
  CertificateFacts facts;
  facts.commonName = commonNameOf(certificate.get());
  facts.notBefore = timeOf(X509_get0_notBefore(certificate.get()));
  facts.notAfter = timeOf(X509_get0_notAfter(certificate.get()));
  readAlternativeNames(certificate.get(), facts);
  return facts;
}

CertificateFacts readCertificate(const std::string& path) {
  KJ_CONTEXT("reading PEM file", path.c_str());
  return parseCertificate(readPem(path));
}

}  // namespace muster
