#include "cli/text.h"

#include "protocol/source_text.h"

namespace muster::cli {
namespace {

constexpr unsigned char DELETE_CHARACTER = 0x7f;

// C0, DEL, and C1, which UTF-8 writes as C2 80 to C2 9F.
bool isControl(std::string_view character) {
  auto first = static_cast<unsigned char>(character[0]);
  if (first < ' ' || first == DELETE_CHARACTER) return true;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

// U+2028, U+2029 and the marks that turn the direction of writing: they make a line look like
// another one.
bool isSteering(std::string_view character) {
  if (character.size() != 3 || static_cast<unsigned char>(character[0]) != 0xe2) return false;
  auto second = static_cast<unsigned char>(character[1]);
  auto third = static_cast<unsigned char>(character[2]);
  if (second == 0x80) return third >= 0xa8 && third <= 0xae;
  return second == 0x81 && third >= 0xa6 && third <= 0xa9;
}

}  // namespace

std::string printable(std::string_view text, LineBreaks lineBreaks) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    size_t length = utf8Length(text);
    std::string_view next = text.substr(0, length == 0 ? 1 : length);
    text.remove_prefix(next.size());
    if (next == "\n") {
      result += lineBreaks == LineBreaks::KEEP ? '\n' : ' ';
    } else if (next == "\t") {
      result += ' ';
    } else if (length == 0 || isControl(next) || isSteering(next)) {
      result += '?';
    } else {
      result += next;
    }
  }
  return result;
}

Refusal printable(const Refusal& refusal) {
  Refusal result = refusal;
  result.text = printable(refusal.text, LineBreaks::KEEP);
  for (auto& error : result.errors) {
    error.message = printable(error.message, LineBreaks::KEEP);
    error.hint = printable(error.hint);
    error.sourceLine = printable(error.sourceLine);
  }
  for (auto& fix : result.fixes) fix = printable(fix);
  return result;
}

size_t columnsOf(std::string_view text) {
  size_t columns = 0;
  for (char byte : text) {
    if ((static_cast<unsigned char>(byte) & 0xc0) != 0x80) columns++;
  }
  return columns;
}

std::string cutTo(std::string_view text, size_t columns) {
  if (columnsOf(text) <= columns) return std::string(text);
  constexpr std::string_view MARK = "...";
  size_t kept = columns > MARK.size() ? columns - MARK.size() : 0;
  size_t end = 0;
  for (; end < text.size(); ++end) {
    bool starts = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (starts && kept-- == 0) break;
  }
  return std::string(text.substr(0, end)) +
         std::string(MARK.substr(0, std::min(columns, MARK.size())));
}

}  // namespace muster::cli
