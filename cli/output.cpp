#include "cli/output.h"

#include "cli/text.h"
#include "cli/views.h"
#include "protocol/tree_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace muster::cli {
namespace {

constexpr std::string_view VALUE = "value=";

// JSON escapes C0 by itself; DEL and C1 (C2 80 to C2 9F in UTF-8) can only stand inside strings.
std::string withoutControls(const std::string& json) {
  std::string result;
  result.reserve(json.size());
  auto escape = [&](unsigned code) {
    constexpr const char* DIGITS = "0123456789abcdef";
    result += std::string("\\u00") + DIGITS[code >> 4] + DIGITS[code & 15];
  };
  for (size_t i = 0; i < json.size(); ++i) {
    auto byte = static_cast<unsigned char>(json[i]);
    auto next = i + 1 < json.size() ? static_cast<unsigned char>(json[i + 1]) : 0u;
    if (byte == 0x7f) {
      escape(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      escape(next);
      ++i;
    } else {
      result += json[i];
    }
  }
  return result;
}

std::string dump(const Json& json, int indent) {
  return withoutControls(json.dump(indent, ' ', false, Json::error_handler_t::replace)) + "\n";
}

YamlNode toNode(const Json& json) {
  if (json.is_null()) return yamlPlain("null");
  if (json.is_string()) return yamlText(json.get<std::string>());
  if (!json.is_structured()) return yamlPlain(json.dump());
  YamlNode node;
  node.kind = json.is_array() ? YamlNode::Kind::LIST : YamlNode::Kind::MAP;
  for (const auto& [key, value] : json.items()) {
    if (json.is_array()) {
      node.items.push_back(toNode(value));
    } else {
      node.entries.push_back({.key = key, .value = toNode(value)});
    }
  }
  return node;
}

// Block style; a list stands in one line when it holds no lists and maps.
void writeBlock(const Json& json, size_t indent, std::string& out);

bool isFlat(const Json& json) {
  if (!json.is_structured() || json.empty()) return true;
  return json.is_array() &&
         std::ranges::none_of(json, [](const Json& item) { return item.is_structured(); });
}

void writeEntry(const std::string& key, const Json& value, size_t indent, std::string& out) {
  out += toFlowText(yamlText(key)) + ":";
  if (isFlat(value)) {
    out += " " + toFlowText(toNode(value)) + "\n";
    return;
  }
  out += "\n";
  writeBlock(value, indent + 2, out);
}

void writeBlock(const Json& json, size_t indent, std::string& out) {
  std::string margin(indent, ' ');
  if (isFlat(json)) {
    out += margin + toFlowText(toNode(json)) + "\n";
    return;
  }
  for (const auto& [key, value] : json.items()) {
    out += margin;
    if (json.is_object()) {
      writeEntry(key, value, indent, out);
      continue;
    }
    // An item's first line stands behind the dash, which takes the place of its indentation.
    std::string item;
    writeBlock(value, indent + 2, item);
    out += "- " + item.substr(indent + 2);
  }
}

std::string names(const Json& answer, std::string_view ownTenant) {
  std::string text;
  for (const char* list : {"items", "deployments"}) {
    if (!answer.contains(list) || !answer.at(list).is_array()) continue;
    for (const auto& item : answer.at(list)) {
      Json named = item;
      if (!named.contains("kind") && !named.contains("object")) named["kind"] = "deployment";
      text += printable(referenceOf(named, ownTenant)) + "\n";
    }
    return text;
  }
  return printable(referenceOf(answer, ownTenant)) + "\n";
}

}  // namespace

const std::vector<std::string>& outputFormats() {
  static const std::vector<std::string> FORMATS{"table", "wide", "json",
                                                "yaml",  "name", "value=/json/pointer"};
  return FORMATS;
}

std::optional<OutputFormat> parseOutputFormat(std::string_view text) {
  if (text.empty() || text == "table") return OutputFormat{OutputKind::TABLE, {}};
  if (text == "wide") return OutputFormat{OutputKind::WIDE, {}};
  if (text == "json") return OutputFormat{OutputKind::JSON, {}};
  if (text == "yaml") return OutputFormat{OutputKind::YAML, {}};
  if (text == "name") return OutputFormat{OutputKind::NAME, {}};
  if (!text.starts_with(VALUE)) return std::nullopt;
  std::string pointer(text.substr(VALUE.size()));
  try {
    Json::json_pointer checked(pointer);
  } catch (const Json::parse_error&) {
    return std::nullopt;
  }
  return OutputFormat{OutputKind::VALUE, pointer};
}

std::string toJson(const Json& json) { return dump(json, 2); }
std::string toJsonLine(const Json& json) { return dump(json, -1); }
std::string toYaml(const Json& json) {
  std::string text;
  writeBlock(json, 0, text);
  return text;
}

Result<std::string> render(const Json& answer, const OutputFormat& format,
                           std::string_view ownTenant) {
  switch (format.kind) {
    case OutputKind::YAML:
      return toYaml(answer);
    case OutputKind::NAME:
      return names(answer, ownTenant);
    case OutputKind::VALUE: {
      Json::json_pointer pointer(format.pointer);
      if (!answer.contains(pointer)) {
        return Refusal{RefusalCode::NOT_FOUND,
                       "the answer has nothing at " + format.pointer,
                       {},
                       {"-o json shows what there is"}};
      }
      const Json& value = answer.at(pointer);
      if (!value.is_string()) return toJsonLine(value);
      return printable(value.get_ref<const std::string&>(), LineBreaks::KEEP) + "\n";
    }
    default:
      return toJson(answer);
  }
}

}  // namespace muster::cli
