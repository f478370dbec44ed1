// The fields of `model` and `engine`: what runs, and what may not be said about it because Muster
// says it.
#include "protocol/engine_preset.h"
#include "protocol/field_codecs.h"
#include "protocol/reserved_arguments.h"

#include <algorithm>
#include <array>

namespace muster::fields {
namespace {

using Written = std::optional<YamlNode>;

constexpr std::array<std::string_view, 6> ENGINES{"native", "process",   "vllm",
                                                  "sglang", "llama.cpp", "torchrun"};
constexpr std::array<std::string_view, 4> FOREIGN_SOURCES{"hf:", "s3:", "https:", "http:"};
constexpr size_t PATH_MAX_BYTES = 4096;

bool isForeignSource(std::string_view source) {
  return std::ranges::any_of(FOREIGN_SOURCES,
                             [&](std::string_view scheme) { return source.starts_with(scheme); });
}

// What is wrong with a `file:` source and what to write; both empty when it is right.
struct SourceFlaw {
  std::string message;
  std::string hint;
};
SourceFlaw checkFileSource(std::string_view source) {
  if (source.starts_with("/")) return {"has no scheme", "write file:" + std::string(source)};
  if (!source.starts_with("file:")) {
    return {"is no model source: file:PATH, with an absolute path on the workers, is wanted", ""};
  }
  std::string_view path = source.substr(5);
  if (path.starts_with("//")) {
    size_t start = path.find_first_not_of('/');
    std::string rest(start == std::string_view::npos ? "" : path.substr(start));
    return {"starts with //", "write file:/" + rest};
  }
  if (!path.starts_with("/"))
    return {"is not an absolute path", "write file:/" + std::string(path)};
  if (path.size() > PATH_MAX_BYTES) return {"is longer than 4096 bytes", ""};
  return {};
}

using TextMap = std::map<std::string, std::string>;

// A map of names to texts, numbers and booleans. `check` reports a name that may not be there.
template <class Check>
TextMap readTextMap(FieldReader& reader, const YamlNode& node, Check check) {
  TextMap read;
  if (node.kind != YamlNode::Kind::MAP) {
    reader.reportWrongKind(node, "a map {name: value}");
    return read;
  }
  std::string path = reader.path();
  for (const auto& entry : node.entries) {
    reader.enter(reader.document(), path + "." + entry.key);
    if (entry.value.kind == YamlNode::Kind::BROKEN || !check(entry)) continue;
    if (entry.value.kind != YamlNode::Kind::SCALAR) {
      reader.reportWrongKind(entry.value, "a text, a number or a boolean");
    } else {
      read[entry.key] = entry.value.text;
    }
  }
  reader.enter(reader.document(), path);
  return read;
}

// A number or boolean as JSON spells it can stand without quotes and be read back the same.
bool isPlainValue(std::string_view text) {
  if (text == "true" || text == "false") return true;
  if (text.starts_with("-")) text.remove_prefix(1);
  size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 15 || (digits > 1 && text[0] == '0')) return false;
  text.remove_prefix(digits);
  if (text.empty()) return true;
  text.remove_prefix(1);
  return text.data()[-1] == '.' && !text.empty() && text.size() < 15 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

Written writeTextMap(const TextMap& map) {
  if (map.empty()) return std::nullopt;
  YamlNode node;
  node.kind = YamlNode::Kind::MAP;
  for (const auto& [name, value] : map) {
    node.entries.push_back({name, 0, isPlainValue(value) ? yamlPlain(value) : yamlText(value)});
  }
  return node;
}

bool isVariableName(std::string_view name) {
  auto isLetter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  auto isGood = [&](char c) { return isLetter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && isLetter(name[0]) && std::ranges::all_of(name, isGood);
}

void reportReserved(FieldReader& reader, const YamlEntry& entry, std::string_view where) {
  reader.report(RefusalCode::RESERVED_ARGUMENT, entry.at,
                quotedForMessage(entry.key) + " in " + std::string(where) + " is set by Muster",
                "leave it out");
}

bool checkArgument(FieldReader& reader, const YamlEntry& entry) {
  if (isReservedArgument(entry.key)) {
    reportReserved(reader, entry, "engine.args");
    return false;
  }
  bool good = !entry.key.empty() && entry.key.find_first_of(" =\t\n") == std::string::npos;
  if (!good) {
    reader.report(RefusalCode::INVALID_VALUE, entry.at,
                  quotedForMessage(entry.key) + " is no name of an argument");
  }
  return good;
}

bool checkVariable(FieldReader& reader, const YamlEntry& entry) {
  if (isReservedVariable(entry.key)) {
    reportReserved(reader, entry, "engine.env");
    return false;
  }
  if (!isVariableName(entry.key)) {
    reader.report(RefusalCode::INVALID_VALUE, entry.at,
                  quotedForMessage(entry.key) + " is no name of an environment variable");
    return false;
  }
  return true;
}

}  // namespace

void readModelSource(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  auto source = reader.text(node);
  if (!source) return;
  if (isForeignSource(*source)) {
    reader.report(
        RefusalCode::NOT_SUPPORTED_YET, node.at,
        "model source " + quotedForMessage(*source) + " is not supported yet, only file:PATH is");
    return;
  }
  SourceFlaw flaw = checkFileSource(*source);
  if (flaw.message.empty()) {
    spec.model.source = *source;
  } else {
    reader.report(RefusalCode::INVALID_VALUE, node.at,
                  "model source " + quotedForMessage(*source) + " " + flaw.message, flaw.hint);
  }
}
Written writeModelSource(const DeploymentSpec& spec) { return yamlText(spec.model.source); }

void readEngineKind(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  auto kind = reader.word(node, ENGINES);
  if (kind) spec.engine.kind = *engineKindOf(*kind);
}
Written writeEngineKind(const DeploymentSpec& spec) {
  return yamlText(std::string(toText(spec.engine.kind)));
}

void readCommand(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (node.kind == YamlNode::Kind::LIST && node.items.empty()) {
    reader.report(RefusalCode::INVALID_VALUE, node.at, reader.path() + " is an empty list");
    return;
  }
  spec.engine.command = reader.textList(node);
}
Written writeCommand(const DeploymentSpec& spec) {
  if (spec.engine.command.empty()) return std::nullopt;
  YamlNode list;
  list.kind = YamlNode::Kind::LIST;
  for (const auto& word : spec.engine.command) list.items.push_back(yamlText(word));
  return list;
}

void readArguments(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  spec.engine.args = readTextMap(
      reader, node, [&reader](const YamlEntry& entry) { return checkArgument(reader, entry); });
}
Written writeArguments(const DeploymentSpec& spec) { return writeTextMap(spec.engine.args); }

void readEnvironment(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  spec.engine.env = readTextMap(
      reader, node, [&reader](const YamlEntry& entry) { return checkVariable(reader, entry); });
}
Written writeEnvironment(const DeploymentSpec& spec) { return writeTextMap(spec.engine.env); }

void readReadyHttp(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  auto path = reader.text(node);
  if (!path) return;
  if (path->starts_with("/") && path->find_first_of(" \t\n") == std::string::npos) {
    spec.engine.ready.httpPath = *path;
  } else {
    reader.reportWrongKind(node, "a path on the rank's port, for instance /health");
  }
}
Written writeReadyHttp(const DeploymentSpec& spec) {
  if (!spec.engine.ready.httpPath) return std::nullopt;
  return yamlText(*spec.engine.ready.httpPath);
}

void readReadyLog(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto line = reader.text(node)) spec.engine.ready.logLine = *line;
}
Written writeReadyLog(const DeploymentSpec& spec) {
  if (!spec.engine.ready.logLine) return std::nullopt;
  return yamlText(*spec.engine.ready.logLine);
}

void readReadyTimeout(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto duration = reader.duration(node)) spec.engine.ready.timeout = *duration;
}
Written writeReadyTimeout(const DeploymentSpec& spec) {
  if (!spec.engine.ready.timeout) return std::nullopt;
  return yamlText(toText(*spec.engine.ready.timeout));
}

}  // namespace muster::fields
