// -o: one answer as a table, JSON, YAML, names or a single value.
#pragma once

#include "base/result.h"
#include "cli/json_view.h"

#include <functional>
#include <string>
#include <string_view>

namespace muster::cli {

enum class OutputKind : uint8_t { TABLE, WIDE, JSON, YAML, NAME, VALUE };

struct OutputFormat {
  OutputKind kind = OutputKind::TABLE;
  std::string pointer;  // of VALUE
  bool isForPeople() const { return kind == OutputKind::TABLE || kind == OutputKind::WIDE; }
};

// "table", "wide", "json", "yaml", "name" or "value=/json/pointer"; empty is "table". Nothing for
// any other text and for a pointer that is none.
std::optional<OutputFormat> parseOutputFormat(std::string_view text);
const std::vector<std::string>& outputFormats();

// Complete and stable; control characters are escaped. Each ends with a line break.
std::string toJson(const Json& json);
std::string toJsonLine(const Json& json);
std::string toYaml(const Json& json);

// The answer in a format that is not for people. NAME: one reference per line, of the items of a
// list or of the object itself. Refuses NOT_FOUND when there is nothing at the pointer.
Result<std::string> render(const Json& answer, const OutputFormat& format,
                           std::string_view ownTenant);

}  // namespace muster::cli
