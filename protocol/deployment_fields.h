// The one table of the fields of a deployment: the parser, the writer, the diff and `muster
// explain` all read it, so that they cannot tell different stories.
#pragma once

#include "protocol/deployment.h"
#include "protocol/field_reader.h"
#include "protocol/yaml_document.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace muster {

// NOT_YET: part of the language, refused by this version wherever it is given.
enum class FieldSupport : uint8_t { BUILT, NOT_YET };
enum class FieldNeed : uint8_t { OPTIONAL, REQUIRED };

// One field. A field whose path other paths extend ("parallel" of "parallel.tp") is a map of those;
// if it also has a `read`, that reads its short form.
struct FieldRow {
  std::string_view path;         // "engine.ready.http"
  std::string_view form;         // what may be written: "number, 0 to 10000"
  std::string_view defaultText;  // "" where there is none
  std::string_view meaning;
  FieldNeed need = FieldNeed::OPTIONAL;  // within the map it is in
  FieldSupport support = FieldSupport::BUILT;
  // Sets the field from a node that is neither NOTHING nor BROKEN, or reports why not.
  void (*read)(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) = nullptr;
  // The value in its canonical form; nothing when the owner left it open.
  std::optional<YamlNode> (*write)(const DeploymentSpec& spec) = nullptr;
  ChangeEffect effect = ChangeEffect::RESTARTS_RANKS;  // of a change
};

// In the order in which people are shown them; a map comes right before its fields.
std::span<const FieldRow> deploymentFields();

// The row of a path; nullptr for an unknown one.
const FieldRow* findField(std::string_view path);

// Rows directly inside the map `path`; those of the document itself for "".
std::vector<const FieldRow*> fieldsInside(std::string_view path);

// "ready" of "engine.ready".
std::string_view lastWord(std::string_view path);

}  // namespace muster
