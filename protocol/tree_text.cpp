#include "protocol/tree_text.h"

#include "protocol/names.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace muster {
namespace {

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
// Words that some reader of YAML takes for something else than a text.
bool isSpecialWord(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array<std::string_view, 9> WORDS{"true", "false", "null", "yes", "no",
                                                  "on",   "off",   "y",    "n"};
  return std::ranges::find(WORDS, lower) != WORDS.end();
}

// Cautious: what does not plainly look like a word, a path, a size or a duration gets quotes.
bool isSafePlain(std::string_view text) {
  if (text.empty() || isSpecialWord(text) || text.back() == ':') return false;
  if (!isLetter(text[0]) && text[0] != '/' && !isDigit(text[0])) return false;
  bool wordy = std::ranges::all_of(text, [](char c) {
    return isLetter(c) || isDigit(c) ||
           std::string_view("/._-+:").find(c) != std::string_view::npos;
  });
  if (!wordy || !isDigit(text[0])) return wordy;
  // Starts with a digit: only 80GiB, 30s and 0-9, which no reader takes for a number, a date or a
  // clock.
  size_t digits = text.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) return false;
  std::string_view rest = text.substr(digits);
  if (rest[0] == '-') return rest.size() > 1 && std::ranges::all_of(rest.substr(1), isDigit);
  return rest[0] != 'e' && rest[0] != 'E' && rest[0] != 'x' && rest[0] != 'o' && rest[0] != 'b' &&
         std::ranges::all_of(rest, isLetter);
}

std::string scalarText(const YamlNode& node) {
  return !node.quoted || isSafePlain(node.text) ? node.text : quoteText(node.text);
}
std::string keyText(std::string_view key) {
  return isSafePlain(key) ? std::string(key) : quoteText(key);
}

bool isEmptyCollection(const YamlNode& node) {
  return node.kind != YamlNode::Kind::SCALAR && node.items.empty() && node.entries.empty();
}

void appendBlock(const YamlNode& map, const std::string& indent, std::string& text) {
  for (const auto& entry : map.entries) {
    text += indent + keyText(entry.key) + ":";
    if (entry.value.kind == YamlNode::Kind::MAP && !isEmptyCollection(entry.value)) {
      text += "\n";
      appendBlock(entry.value, indent + "  ", text);
    } else {
      text += " " + toFlowText(entry.value) + "\n";
    }
  }
}

// Both flow forms; they differ in the separators and in how a text is written.
struct FlowStyle {
  std::string_view comma;
  std::string_view colon;
  bool json;
};
constexpr FlowStyle YAML_FLOW{", ", ": ", false};
constexpr FlowStyle JSON_FLOW{",", ":", true};

std::string flow(const YamlNode& node, const FlowStyle& style) {
  std::string text;
  switch (node.kind) {
    case YamlNode::Kind::SCALAR:
      if (!style.json) return scalarText(node);
      return node.quoted ? quoteText(node.text) : node.text;
    case YamlNode::Kind::LIST:
      for (const auto& item : node.items) {
        text += (text.empty() ? "" : std::string(style.comma)) + flow(item, style);
      }
      return "[" + text + "]";
    case YamlNode::Kind::MAP:
      for (const auto& entry : node.entries) {
        text += text.empty() ? "" : style.comma;
        text += style.json ? quoteText(entry.key) : keyText(entry.key);
        text += std::string(style.colon) + flow(entry.value, style);
      }
      return "{" + text + "}";
    case YamlNode::Kind::NOTHING:
    case YamlNode::Kind::BROKEN:
      break;
  }
  return "null";
}

}  // namespace

std::string toYamlText(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::MAP || node.entries.empty()) return toFlowText(node) + "\n";
  std::string text;
  appendBlock(node, "", text);
  return text;
}

std::string toJsonText(const YamlNode& node) { return flow(node, JSON_FLOW); }
std::string toFlowText(const YamlNode& node) { return flow(node, YAML_FLOW); }

std::string quoteText(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      result += escape.data();
    } else {
      result += c;
    }
  }
  return result + "\"";
}

}  // namespace muster
