#include "protocol/field_reader.h"

#include "base/did_you_mean.h"
#include "protocol/names.h"

#include <algorithm>
#include <charconv>

namespace muster {
namespace {

constexpr size_t SHOWN_MAX = 80;
constexpr size_t TEXT_MAX = 65536;
constexpr size_t ERRORS_MAX = 50;

// Decimal digits without leading zeros: YAML 1.1 reads 010 as 8, YAML 1.2 as 10.
std::optional<uint64_t> wholeNumber(const YamlNode& node) {
  const std::string& text = node.text;
  if (node.kind != YamlNode::Kind::SCALAR || node.quoted || text.empty()) return std::nullopt;
  if (!std::ranges::all_of(text, isDigit) || (text.size() > 1 && text[0] == '0')) {
    return std::nullopt;
  }
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return number;
}

std::string unquoteHint(const YamlNode& node) {
  YamlNode plain = node;
  plain.quoted = false;
  return node.quoted && wholeNumber(plain) ? "write " + node.text + " without quotes"
                                           : std::string();
}

}  // namespace

std::string quotedForMessage(std::string_view text) {
  std::string shownText;
  size_t at = 0;
  while (at < text.size() && at < SHOWN_MAX) {
    size_t length = std::max<size_t>(utf8Length(text.substr(at)), 1);
    std::string_view character = text.substr(at, length);
    shownText += findTextFlaw(character) || character == "\n" ? "?" : character;
    at += length;
  }
  return "\"" + shownText + (at < text.size() ? "..." : "") + "\"";
}

std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::LIST:
      return "a list";
    case YamlNode::Kind::MAP:
      return "a map";
    case YamlNode::Kind::SCALAR:
      return quotedForMessage(node.text);
    case YamlNode::Kind::NOTHING:
    case YamlNode::Kind::BROKEN:
      break;
  }
  return "nothing";
}

std::string alternatives(std::span<const std::string_view> words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

std::string nearestHint(std::string_view seen, std::span<const std::string_view> words) {
  constexpr size_t WORD_MAX = 64;  // nobody misspells a longer one, and comparing costs its length
  if (seen.size() > WORD_MAX) return {};
  return didYouMean(seen, std::vector<std::string>(words.begin(), words.end()));
}

FieldReader::FieldReader(const SourceText& source, std::vector<InputError>& errors)
    : source_(source), errors_(errors) {}

void FieldReader::enter(std::string document, std::string path) {
  document_ = std::move(document);
  path_ = std::move(path);
}

bool FieldReader::isFull() const { return errors_.size() >= ERRORS_MAX; }

void FieldReader::report(RefusalCode code, size_t at, std::string message, std::string hint) {
  if (isFull()) return;
  TextPosition position = source_.position(at);
  errors_.push_back({code, path_, position.line, position.column, std::move(message),
                     std::move(hint), source_.line(position.line)});
}

void FieldReader::reportWrongKind(const YamlNode& node, std::string_view wanted, std::string hint) {
  report(RefusalCode::INVALID_VALUE, node.at,
         path_ + " is " + shown(node) + ", wanted: " + std::string(wanted), std::move(hint));
}

std::optional<uint64_t> FieldReader::number(const YamlNode& node, NumberRange range) {
  auto number = wholeNumber(node);
  if (number && *number >= range.min && *number <= range.max) return number;
  reportWrongKind(
      node, "a whole number from " + std::to_string(range.min) + " to " + std::to_string(range.max),
      unquoteHint(node));
  return std::nullopt;
}

std::optional<std::string> FieldReader::text(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::SCALAR) {
    reportWrongKind(node, "a text");
  } else if (node.text.empty()) {
    report(RefusalCode::INVALID_VALUE, node.at, path_ + " is empty");
  } else if (node.text.size() > TEXT_MAX) {
    report(RefusalCode::TOO_LARGE, node.at,
           path_ + " has " + std::to_string(node.text.size()) + " bytes, at most " +
               std::to_string(TEXT_MAX) + " are taken");
  } else {
    return node.text;
  }
  return std::nullopt;
}

std::optional<Duration> FieldReader::duration(const YamlNode& node) {
  auto value = node.kind == YamlNode::Kind::SCALAR ? parseDuration(node.text) : std::nullopt;
  if (value && value->nanos > 0 && value->nanos % 1'000'000 == 0) return value;
  reportWrongKind(node, "a duration of at least 1ms, for instance 250ms, 30s, 5m, 2h or 3d",
                  wholeNumber(node) ? "add the unit: " + node.text + "s" : std::string());
  return std::nullopt;
}

std::optional<Bytes> FieldReader::bytes(const YamlNode& node) {
  auto value = node.kind == YamlNode::Kind::SCALAR ? parseBytes(node.text) : std::nullopt;
  if (value && value->count > 0) return value;
  reportWrongKind(node, "a size, for instance 80GiB",
                  wholeNumber(node) ? "add the unit: " + node.text + "GiB" : std::string());
  return std::nullopt;
}

std::optional<std::string> FieldReader::name(const YamlNode& node, NameKind kind) {
  if (node.kind == YamlNode::Kind::SCALAR) return nameIf(checkName(node.text, kind), node);
  reportWrongKind(node, "a name");
  return std::nullopt;
}

std::optional<std::string> FieldReader::alias(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::SCALAR) return nameIf(checkAlias(node.text), node);
  reportWrongKind(node, "a name");
  return std::nullopt;
}

std::optional<std::string> FieldReader::nameIf(const Result<Done>& checked, const YamlNode& node) {
  if (checked) return node.text;
  const Refusal& refusal = checked.refusal();
  report(refusal.code, node.at, refusal.text, refusal.fixes.empty() ? "" : refusal.fixes[0]);
  return std::nullopt;
}

std::optional<std::string> FieldReader::word(const YamlNode& node,
                                             std::span<const std::string_view> words) {
  bool known =
      node.kind == YamlNode::Kind::SCALAR && std::ranges::find(words, node.text) != words.end();
  if (known) return node.text;
  reportWrongKind(node, alternatives(words), nearestHint(node.text, words));
  return std::nullopt;
}

std::vector<std::string> FieldReader::textList(const YamlNode& node) {
  std::vector<std::string> texts;
  if (node.kind != YamlNode::Kind::LIST) {
    reportWrongKind(node, "a list", "write [...] around it");
    return texts;
  }
  for (const auto& item : node.items) {
    if (item.kind == YamlNode::Kind::BROKEN) continue;
    if (auto item_text = text(item)) texts.push_back(std::move(*item_text));
  }
  return texts;
}

}  // namespace muster
