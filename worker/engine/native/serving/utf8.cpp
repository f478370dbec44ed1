#include "worker/engine/native/serving/utf8.h"

#include <algorithm>
#include <cstdint>

namespace muster::worker {
namespace {

constexpr std::string_view REPLACEMENT = "\xEF\xBF\xBD";

// What a first byte announces: how many bytes, and the range of the second, which alone tells
// overlong forms, surrogates and too large code points apart (RFC 3629 section 4).
struct Lead {
  size_t length = 0;  // 0: no character begins so
  uint8_t secondMin = 0x80;
  uint8_t secondMax = 0xBF;
};

Lead leadOf(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0};
}

enum class Verdict { WHOLE, UNFINISHED, BROKEN };

struct Character {
  Verdict verdict;
  size_t length;  // of a whole one; of what is there of an unfinished one
};

Character characterAt(std::string_view bytes) {
  Lead lead = leadOf(static_cast<uint8_t>(bytes[0]));
  if (lead.length == 0) return {Verdict::BROKEN, 1};
  size_t there = std::min(lead.length, bytes.size());
  for (size_t i = 1; i < there; ++i) {
    auto byte = static_cast<uint8_t>(bytes[i]);
    uint8_t low = i == 1 ? lead.secondMin : 0x80;
    uint8_t high = i == 1 ? lead.secondMax : 0xBF;
    if (byte < low || byte > high) return {Verdict::BROKEN, 1};
  }
  return {there == lead.length ? Verdict::WHOLE : Verdict::UNFINISHED, there};
}

}  // namespace

bool isUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    Character next = characterAt(bytes);
    if (next.verdict != Verdict::WHOLE) return false;
    bytes.remove_prefix(next.length);
  }
  return true;
}

size_t unfinishedUtf8(std::string_view bytes) {
  for (size_t length = std::min<size_t>(3, bytes.size()); length > 0; --length) {
    Character last = characterAt(bytes.substr(bytes.size() - length));
    if (last.verdict == Verdict::UNFINISHED) return length;
  }
  return 0;
}

std::string repairUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    Character next = characterAt(bytes);
    if (next.verdict == Verdict::WHOLE) {
      text += bytes.substr(0, next.length);
      bytes.remove_prefix(next.length);
    } else {
      text += REPLACEMENT;
      bytes.remove_prefix(1);
    }
  }
  return text;
}

}  // namespace muster::worker
