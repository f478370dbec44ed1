#include "worker/engine/native/serving/byte_alphabet.h"

#include <array>

namespace muster::worker {
namespace {

constexpr uint32_t FIRST_STAND_IN = 0x100;
constexpr size_t STAND_INS = 68;

constexpr bool standsForItself(uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<uint32_t, 256> codePoint{};                   // by byte
  std::array<int16_t, FIRST_STAND_IN + STAND_INS> byte{};  // by code point; -1: none
};

constexpr Alphabet makeAlphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  uint32_t standIn = FIRST_STAND_IN;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t codePoint = standsForItself(byte) ? byte : standIn++;
    alphabet.codePoint[byte] = codePoint;
    alphabet.byte[codePoint] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet ALPHABET = makeAlphabet();

}  // namespace

std::string alphabetCharacter(uint8_t byte) {
  uint32_t codePoint = ALPHABET.codePoint[byte];
  if (codePoint < 0x80) return std::string(1, static_cast<char>(codePoint));
  return {static_cast<char>(0xC0 | codePoint >> 6), static_cast<char>(0x80 | (codePoint & 0x3F))};
}

std::optional<std::string> fromAlphabet(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t codePoint = static_cast<uint8_t>(text[i]);
    if (codePoint >= 0x80) {  // all others of the alphabet take two bytes
      if ((codePoint & 0xE0) != 0xC0 || i + 1 == text.size()) return std::nullopt;
      codePoint = (codePoint & 0x1F) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3F);
    }
    if (codePoint >= ALPHABET.byte.size() || ALPHABET.byte[codePoint] < 0) return std::nullopt;
    bytes += static_cast<char>(ALPHABET.byte[codePoint]);
  }
  return bytes;
}

}  // namespace muster::worker
