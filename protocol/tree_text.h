// A tree as YAML or JSON. Whatever is written here, readYaml reads back as the same tree.
#pragma once

#include "protocol/yaml_document.h"

#include <string>
#include <string_view>

namespace muster {

// Block style, lists of scalars in one line; ends with a line break.
std::string toYamlText(const YamlNode& node);

// On one line, without spaces. Scalars that are not quoted stand as they are: numbers and booleans.
std::string toJsonText(const YamlNode& node);

// One value on one line as YAML, for tables and diffs: "256", "[a, b]", "{x: 1}".
std::string toFlowText(const YamlNode& node);

// With quotes and escapes that both JSON and YAML read.
std::string quoteText(std::string_view text);

}  // namespace muster
