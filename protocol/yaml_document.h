// YAML (and so JSON) as a strict tree: what two readers could understand differently is an error
// here.
#pragma once

#include "base/refusal_code.h"
#include "protocol/source_text.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

struct YamlEntry;

// A value and where it stands. BROKEN: an error was reported for it already; readers pass over it.
struct YamlNode {
  enum class Kind : uint8_t { NOTHING, SCALAR, LIST, MAP, BROKEN };

  Kind kind = Kind::NOTHING;
  std::string text;                // of a scalar, exactly as written, so that 1.10 stays 1.10
  bool quoted = false;             // a scalar that is text whatever it looks like
  std::vector<YamlNode> items;     // of a list
  std::vector<YamlEntry> entries;  // of a map, in the order of the file; keys are unique
  size_t at = 0;                   // byte of the text where it starts

  // The value of a key of this map; nullptr without it, or when this is no map.
  const YamlNode* find(std::string_view key) const;
};

struct YamlEntry {
  std::string key;
  size_t at = 0;  // byte of the text where the key starts
  YamlNode value;
};

// Makers for trees that are written, not read.
YamlNode yamlText(std::string text);
YamlNode yamlNumber(uint64_t number);
YamlNode yamlPlain(std::string text);  // a number or boolean in its own spelling

struct YamlFlaw {
  RefusalCode code;
  size_t at;  // byte of the text
  std::string message;
  std::string hint;
};

struct YamlRead {
  std::vector<YamlNode>
      documents;                // those before the first error of syntax; empty ones are left out
  std::vector<YamlFlaw> flaws;  // in the order of the text
};

constexpr size_t YAML_SIZE_MAX = 1 << 20;  // bytes
constexpr uint32_t YAML_DEPTH_MAX = 24;    // of lists and maps in each other

// Reads a file of one or more documents. Flaws: bad syntax, text that is not UTF-8, duplicate keys,
// keys that are no text, anchors, aliases and tags, `yes no on off y n` without quotes, control
// characters, and more than YAML_SIZE_MAX or YAML_DEPTH_MAX. Never throws for any bytes.
YamlRead readYaml(const SourceText& source);

}  // namespace muster
