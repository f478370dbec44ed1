#include "worker/engine/native/group_proof.h"

#include <kj/debug.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <string>

namespace muster::worker {
namespace {

void appendNumber(std::string& out, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
}

void appendBytes(std::string& out, std::span<const uint8_t> bytes) {
  out.append(bytes.begin(), bytes.end());
}

}  // namespace

Nonce drawNonce(Random& random) {
  Nonce nonce;
  for (size_t i = 0; i < nonce.size(); i += 8) {
    uint64_t bits = random.next();
    for (size_t j = 0; j < 8; ++j) nonce[i + j] = static_cast<uint8_t>(bits >> (8 * j));
  }
  return nonce;
}

Proof makeProof(const GroupSecret& secret, const ProofInput& input) {
  std::string text = "muster group v2 ";
  text += input.side;
  text.push_back('\0');
  appendNumber(text, input.ref.deployment.value);
  appendNumber(text, input.ref.replica.value);
  appendNumber(text, input.ref.generation.value);
  appendNumber(text, input.ref.rank.value);
  appendBytes(text, input.memberNonce);
  appendBytes(text, input.hostNonce);
  text += input.statement;
  Proof proof{};
  unsigned length = 0;
  const auto* made =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &length);
  KJ_REQUIRE(made != nullptr && length == proof.size(), "HMAC failed", length);
  return proof;
}

MemoryMark makeMark(const GroupSecret& secret, const RankRef& ref) {
  Proof proof = makeProof(
      secret, {.side = "memory", .ref = ref, .memberNonce = {}, .hostNonce = {}, .statement = ""});
  MemoryMark mark{};
  std::memcpy(mark.data(), proof.data(), mark.size());
  return mark;
}

bool sameProof(const Proof& wanted, std::span<const uint8_t> got) {
  return got.size() == wanted.size() && CRYPTO_memcmp(wanted.data(), got.data(), got.size()) == 0;
}

}  // namespace muster::worker
