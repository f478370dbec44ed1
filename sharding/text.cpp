#include "sharding/text.h"

#include <algorithm>

namespace muster::sharding {
namespace {

constexpr size_t NAME_BYTES_MAX = 120;
constexpr std::string_view HEX = "0123456789abcdef";

}  // namespace

std::string inQuotes(std::string_view name) {
  std::string text = "\"";
  for (char c : name.substr(0, NAME_BYTES_MAX)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += {'\\', 'x', HEX[byte >> 4], HEX[byte & 15]};
    } else {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
  }
  if (name.size() > NAME_BYTES_MAX) text += "...";
  return text + "\"";
}

std::string shapeText(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::string counted(uint64_t count, std::string_view noun) {
  std::string text = std::to_string(count) + " " + std::string(noun);
  return count == 1 ? text : text + "s";
}

std::string listText(const std::vector<std::string>& items, size_t most) {
  if (items.empty()) return "none";
  // Cutting off a single item would not make the sentence shorter.
  size_t shown = items.size() <= most + 1 ? items.size() : most;
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) text += (i + 1 == shown && shown == items.size()) ? " and " : ", ";
    text += items[i];
  }
  if (shown < items.size()) text += " and " + std::to_string(items.size() - shown) + " more";
  return text;
}

}  // namespace muster::sharding
