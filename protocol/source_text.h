// The text of an input, for saying where in it something is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

// Line and column start with 1. Columns count characters, not bytes, as editors do.
struct TextPosition {
  uint32_t line = 1;
  uint32_t column = 1;
  auto operator<=>(const TextPosition&) const = default;
};

// Borrows the text, which must outlive it.
class SourceText {
 public:
  explicit SourceText(std::string_view text);

  // Of the character at this byte; a byte past the end is at the end. Cost O(log lines + length of
  // the line).
  TextPosition position(size_t byte) const;

  // Without its line break, and with "?" for what is no UTF-8 or could steer a terminal; empty past
  // the end, and for a line too long to be shown (above 4 KiB).
  std::string line(uint32_t number) const;

  std::string_view text() const { return text_; }

 private:
  std::string_view lineAt(size_t index) const;

  std::string_view text_;
  std::vector<size_t> lineStarts_;  // byte of the first character of each line, ascending
};

// A place where the text is not text, and what is wrong there.
struct TextFlaw {
  size_t byte = 0;
  std::string message;
};

// The first byte that is no UTF-8, or a control character other than tab and line break: both could
// make a terminal show something else than what is parsed. Nothing when the text is clean.
std::optional<TextFlaw> findTextFlaw(std::string_view text);

// The length of the UTF-8 sequence at the start of the text, 0 when there is no valid one.
size_t utf8Length(std::string_view text);

}  // namespace muster
