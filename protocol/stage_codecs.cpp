// The field `stages`: a pipeline that its owner cuts, as a list of maps.
#include "protocol/field_codecs.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace muster::fields {
namespace {

using Words = std::span<const std::string_view>;

constexpr size_t STAGES_MAX = 1024;  // as many as pp takes
constexpr size_t LAYER_DIGITS_MAX = 6;
constexpr std::array<std::string_view, 3> STAGE_WORDS{"gpu", "tp", "layers"};
constexpr std::array<std::string_view, 3> STAGE_GPU_WORDS{"type", "min_memory", "link"};

// Calls `read(word, value)` for each known word of a map that has a value; complains of the others.
template <class Read>
void readParts(FieldReader& reader, const YamlNode& map, Words words, Read read) {
  const std::string path = reader.path();
  for (const auto& entry : map.entries) {
    reader.enter(reader.document(), path + "." + entry.key);
    if (std::ranges::find(words, entry.key) == words.end()) {
      reader.report(RefusalCode::UNKNOWN_FIELD, entry.at,
                    "unknown field " + quotedForMessage(entry.key) + " in " + path + " of " +
                        reader.document(),
                    nearestHint(entry.key, words));
    } else if (entry.value.kind == YamlNode::Kind::NOTHING) {
      reader.report(RefusalCode::INVALID_VALUE, entry.at, reader.path() + " has no value",
                    "leave it out");
    } else if (entry.value.kind != YamlNode::Kind::BROKEN) {
      read(entry.key, entry.value);
    }
  }
  reader.enter(reader.document(), path);
}

// Without sign and leading zeros, as every number of the language.
std::optional<uint32_t> layerNumber(std::string_view text) {
  bool plain = !text.empty() && text.size() <= LAYER_DIGITS_MAX &&
               text.find_first_not_of("0123456789") == std::string_view::npos &&
               (text.size() == 1 || text[0] != '0');
  if (!plain) return std::nullopt;
  uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::optional<LayerRange> layerRange(std::string_view text) {
  size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  auto first = layerNumber(text.substr(0, dash));
  auto last = layerNumber(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return LayerRange{*first, *last};
}

std::optional<LayerRange> readLayers(FieldReader& reader, const YamlNode& node) {
  bool isText = node.kind == YamlNode::Kind::SCALAR;
  if (isText && node.text == "auto") return std::nullopt;
  auto range = isText ? layerRange(node.text) : std::nullopt;
  if (!range) {
    reader.reportWrongKind(node, "auto, or the first and the last layer of the stage",
                           "the first ten layers are 0-9, the first one alone is 0-0");
  }
  return range;
}

// `part` takes what the readers of the deployment's own fields read.
void readStageGpu(FieldReader& reader, const YamlNode& node, DeploymentSpec& part) {
  if (node.kind != YamlNode::Kind::MAP) return reader.reportWrongKind(node, "{type, min_memory}");
  readParts(reader, node, STAGE_GPU_WORDS, [&](std::string_view word, const YamlNode& value) {
    if (word == "type") {
      readGpuType(reader, value, part);
    } else if (word == "min_memory") {
      readGpuMemory(reader, value, part);
    } else {
      reader.report(RefusalCode::NOT_SUPPORTED_YET, value.at,
                    "gpu.link of one stage is not supported yet",
                    "write gpu: {link: nvlink} for all stages of the deployment");
    }
  });
}

StageRequest readStage(FieldReader& reader, const YamlNode& node) {
  StageRequest stage;
  if (node.kind == YamlNode::Kind::BROKEN) return stage;
  if (node.kind != YamlNode::Kind::MAP) {
    reader.reportWrongKind(node, "{gpu, tp, layers}", "write {layers: A-B}");
    return stage;
  }
  DeploymentSpec part;
  readParts(reader, node, STAGE_WORDS, [&](std::string_view word, const YamlNode& value) {
    if (word == "layers") {
      stage.layers = readLayers(reader, value);
    } else if (word == "tp") {
      readTensor(reader, value, part);
    } else {
      readStageGpu(reader, value, part);
    }
  });
  stage.gpu = part.gpu;
  stage.tensor = part.parallel.tensor;
  return stage;
}

std::string stagePath(size_t stage) { return "stages[" + std::to_string(stage) + "]"; }

// Ranges follow each other, and leave a layer for each stage between them.
void checkRanges(FieldReader& reader, const YamlNode& list,
                 const std::vector<StageRequest>& stages) {
  uint64_t next = 0;    // layers below are of the stages before, at least
  bool isOpen = false;  // the stages before may have more than these
  for (size_t i = 0; i < stages.size(); ++i) {
    const auto& range = stages[i].layers;
    if (!range) {
      ++next;
      isOpen = true;
      continue;
    }
    if (isOpen ? range->first < next : range->first != next) {
      reader.enter(reader.document(), stagePath(i) + ".layers");
      return reader.report(RefusalCode::INVALID_VALUE, list.items[i].find("layers")->at,
                           reader.path() + " starts with layer " + std::to_string(range->first) +
                               ", wanted: " + std::to_string(next) + (isOpen ? " or above" : ""),
                           isOpen ? "each stage holds a layer at least"
                                  : "every layer is of one stage, and stages follow each other");
    }
    next = uint64_t{range->last} + 1;
    isOpen = false;
  }
}

void addPart(YamlNode& map, std::string_view word, std::optional<YamlNode> value) {
  map.kind = YamlNode::Kind::MAP;
  if (value) map.entries.push_back({std::string(word), 0, std::move(*value)});
}

YamlNode writeStage(const StageRequest& stage) {
  DeploymentSpec part;
  part.gpu = stage.gpu;
  part.parallel.tensor = stage.tensor;
  YamlNode gpu;
  addPart(gpu, "type", writeGpuType(part));
  addPart(gpu, "min_memory", writeGpuMemory(part));
  YamlNode map;
  if (!gpu.entries.empty()) addPart(map, "gpu", std::move(gpu));
  addPart(map, "tp", writeTensor(part));
  addPart(map, "layers",
          yamlText(stage.layers ? std::to_string(stage.layers->first) + "-" +
                                      std::to_string(stage.layers->last)
                                : "auto"));
  return map;
}

}  // namespace

void readStages(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (node.kind != YamlNode::Kind::LIST) {
    return reader.reportWrongKind(node, "a list of {gpu, tp, layers}", "write [...] around it");
  }
  if (node.items.empty()) {
    return reader.report(RefusalCode::INVALID_VALUE, node.at, "stages is an empty list",
                         "leave it out");
  }
  if (node.items.size() > STAGES_MAX) {
    return reader.report(RefusalCode::TOO_LARGE, node.at,
                         "stages has " + std::to_string(node.items.size()) + " entries, at most " +
                             std::to_string(STAGES_MAX) + " are taken");
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    reader.enter(reader.document(), stagePath(i));
    spec.stages.push_back(readStage(reader, node.items[i]));
  }
  checkRanges(reader, node, spec.stages);
  reader.enter(reader.document(), "stages");
}

std::optional<YamlNode> writeStages(const DeploymentSpec& spec) {
  if (spec.stages.empty()) return std::nullopt;
  YamlNode list;
  list.kind = YamlNode::Kind::LIST;
  for (const auto& stage : spec.stages) list.items.push_back(writeStage(stage));
  return list;
}

}  // namespace muster::fields
