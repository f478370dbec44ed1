#include "protocol/source_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace muster {
namespace {

constexpr size_t SHOWN_LINE_MAX = 4096;

uint8_t byteAt(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }
bool isContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// Overlong forms, surrogates and numbers past U+10FFFF, seen in the second byte of a sequence.
bool isForbiddenPair(uint8_t first, uint8_t second) {
  return (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
         (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
}

std::string hex(uint8_t byte) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "0x%02x", byte);
  return text.data();
}

// `at`: of a valid sequence.
bool isControl(std::string_view text, size_t at) {
  uint8_t byte = byteAt(text, at);
  if (byte == '\r') return at + 1 == text.size() || text[at + 1] != '\n';
  if (byte == 0xc2) return byteAt(text, at + 1) < 0xa0;  // U+0080 to U+009F
  return (byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7f;
}

// What could steer a terminal, or is no UTF-8, becomes a question mark.
std::string harmless(std::string_view line) {
  std::string shown;
  while (!line.empty()) {
    size_t length = utf8Length(line);
    bool good = length > 0 && !isControl(line, 0);
    shown += good ? line.substr(0, length) : "?";
    line.remove_prefix(std::max<size_t>(length, 1));
  }
  return shown;
}

}  // namespace

size_t utf8Length(std::string_view text) {
  if (text.empty()) return 0;
  uint8_t first = byteAt(text, 0);
  if (first < 0x80) return 1;
  size_t length = first >= 0xc2 && first < 0xe0 ? 2 : first < 0xe0 ? 0 : first < 0xf0 ? 3 : 4;
  if (length == 0 || first > 0xf4 || text.size() < length) return 0;
  if (isForbiddenPair(first, byteAt(text, 1))) return 0;
  return std::all_of(text.begin() + 1, text.begin() + static_cast<ptrdiff_t>(length),
                     isContinuation)
             ? length
             : 0;
}

std::optional<TextFlaw> findTextFlaw(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text.substr(at));
    if (length == 0) return TextFlaw{at, "byte " + hex(byteAt(text, at)) + " is not UTF-8"};
    if (isControl(text, at)) {
      uint8_t code = byteAt(text, at + length - 1);
      return TextFlaw{at, "control character " + hex(code) + " is not allowed"};
    }
    at += length;
  }
  return std::nullopt;
}

SourceText::SourceText(std::string_view text) : text_(text), lineStarts_{0} {
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    lineStarts_.push_back(at + 1);
  }
}

TextPosition SourceText::position(size_t byte) const {
  byte = std::min(byte, text_.size());
  auto next = std::ranges::upper_bound(lineStarts_, byte);
  auto index = static_cast<size_t>(next - lineStarts_.begin()) - 1;
  std::string_view before = text_.substr(lineStarts_[index], byte - lineStarts_[index]);
  auto continued = std::ranges::count_if(before, isContinuation);
  return {static_cast<uint32_t>(index + 1),
          static_cast<uint32_t>(before.size() - static_cast<size_t>(continued) + 1)};
}

std::string SourceText::line(uint32_t number) const {
  if (number == 0 || number > lineStarts_.size()) return {};
  std::string_view found = lineAt(number - 1);
  return found.size() > SHOWN_LINE_MAX ? std::string() : harmless(found);
}

std::string_view SourceText::lineAt(size_t index) const {
  size_t begin = lineStarts_[index];
  size_t end = index + 1 < lineStarts_.size() ? lineStarts_[index + 1] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r') --end;
  return text_.substr(begin, end - begin);
}

}  // namespace muster
