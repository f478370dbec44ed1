#include "protocol/field_codecs.h"

#include <algorithm>
#include <array>

namespace muster::fields {
namespace {

constexpr NumberRange PARALLEL{1, 1024};
constexpr NumberRange GPUS{1, 65536};
constexpr NumberRange REPLICAS{0, 10000};
constexpr NumberRange CONTEXT{1, 1ull << 31};
constexpr size_t ALIASES_MAX = 16;  // every route carries them
constexpr std::array<std::string_view, 2> SPREADS{"node", "rack"};
constexpr std::array<std::string_view, 2> FABRICS{"preferred", "required"};
constexpr std::array<std::string_view, 1> LINKS{"nvlink"};
constexpr std::array<std::string_view, 1> TENSOR_DOMAINS{"node"};
constexpr std::array<std::string_view, 4> KINDS{"deployment", "job", "tenant", "pool"};
constexpr std::array<std::string_view, 4> WEIGHT_DTYPES{"int8", "bf16", "f16", "f32"};
constexpr std::array<std::string_view, 4> PRIORITIES{"low", "normal", "high", "critical"};

using Written = std::optional<YamlNode>;

Written textUnlessEmpty(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return yamlText(text);
}

Written listUnlessEmpty(const std::vector<std::string>& texts) {
  if (texts.empty()) return std::nullopt;
  YamlNode list;
  list.kind = YamlNode::Kind::LIST;
  for (const auto& text : texts) list.items.push_back(yamlText(text));
  return list;
}

template <class Number>
Written numberIfGiven(const std::optional<Number>& number) {
  if (!number) return std::nullopt;
  return yamlNumber(*number);
}

void readCount(FieldReader& reader, const YamlNode& node, NumberRange range,
               std::optional<uint32_t>& target) {
  if (auto number = reader.number(node, range)) target = static_cast<uint32_t>(*number);
}

void readDuration(FieldReader& reader, const YamlNode& node, Duration& target) {
  if (auto duration = reader.duration(node)) target = *duration;
}

bool isAuto(const YamlNode& node) {
  return node.kind == YamlNode::Kind::SCALAR && node.text == "auto";
}

// What is wrong is left out.
std::vector<NodeName> readNodeNames(FieldReader& reader, const YamlNode& node) {
  std::vector<NodeName> names;
  if (node.kind != YamlNode::Kind::LIST) {
    reader.reportWrongKind(node, "a list of nodes", "write [...] around it");
    return names;
  }
  for (const auto& item : node.items) {
    if (item.kind == YamlNode::Kind::BROKEN) continue;
    if (auto name = reader.name(item, NameKind::NODE)) names.push_back({*name});
  }
  return names;
}

Written writeNodeNames(const std::vector<NodeName>& nodes) {
  std::vector<std::string> names;
  names.reserve(nodes.size());
  for (const auto& node : nodes) names.push_back(node.value);
  return listUnlessEmpty(names);
}

}  // namespace

void readVersion(FieldReader& reader, const YamlNode& node, DeploymentSpec&) {
  if (node.kind == YamlNode::Kind::SCALAR && !node.quoted && node.text == "1") return;
  reader.reportWrongKind(node, "1", "write version: 1");
}
Written writeVersion(const DeploymentSpec&) { return yamlNumber(1); }

void readKind(FieldReader& reader, const YamlNode& node, DeploymentSpec&) {
  auto kind = reader.word(node, KINDS);
  if (!kind || *kind == "deployment") return;
  reader.report(RefusalCode::NOT_SUPPORTED_YET, node.at,
                "kind " + *kind + " is not supported yet, only deployment is");
}
Written writeKind(const DeploymentSpec&) { return yamlText("deployment"); }

void readName(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto name = reader.name(node, NameKind::DEPLOYMENT)) spec.name = {*name};
}
Written writeName(const DeploymentSpec& spec) { return yamlText(spec.name.value); }

void readTenant(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto name = reader.name(node, NameKind::TENANT)) spec.tenant = {*name};
}
Written writeTenant(const DeploymentSpec& spec) { return yamlText(spec.tenant.value); }

void readMaxContext(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto tokens = reader.number(node, CONTEXT)) spec.model.maxContext = *tokens;
}
Written writeMaxContext(const DeploymentSpec& spec) { return numberIfGiven(spec.model.maxContext); }

// bf16, f16 and f32 would convert what is stored; only rounding to int8 is built.
void readWeightDtype(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  auto word = reader.word(node, WEIGHT_DTYPES);
  if (!word) return;
  if (*word == "int8") {
    spec.model.dtype = *word;
    return;
  }
  reader.report(RefusalCode::NOT_SUPPORTED_YET, node.at,
                "model.dtype " + *word + " is not supported yet, only int8 is", "leave it out");
}
Written writeWeightDtype(const DeploymentSpec& spec) { return textUnlessEmpty(spec.model.dtype); }

void readAliases(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (node.kind != YamlNode::Kind::LIST) {
    return reader.reportWrongKind(node, "a list of names", "write [...] around it");
  }
  if (node.items.size() > ALIASES_MAX) {
    reader.report(RefusalCode::TOO_LARGE, node.at,
                  "model.aliases has " + std::to_string(node.items.size()) + " names, at most " +
                      std::to_string(ALIASES_MAX) + " are taken");
  }
  auto& aliases = spec.model.aliases;
  for (const auto& item : node.items) {
    if (item.kind == YamlNode::Kind::BROKEN) continue;
    auto alias = reader.alias(item);
    if (!alias) continue;
    if (std::ranges::find(aliases, *alias) == aliases.end()) {
      aliases.push_back(*alias);
    } else {
      reader.report(RefusalCode::INVALID_VALUE, item.at,
                    "alias " + quotedForMessage(*alias) + " is there twice", "leave one out");
    }
  }
}
Written writeAliases(const DeploymentSpec& spec) { return listUnlessEmpty(spec.model.aliases); }

void readGpus(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (!isAuto(node)) readCount(reader, node, GPUS, spec.gpus);
}
Written writeGpus(const DeploymentSpec& spec) { return numberIfGiven(spec.gpus); }

void readGpuType(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (node.kind == YamlNode::Kind::LIST) {
    spec.gpu.types = reader.textList(node);
  } else if (auto type = reader.text(node)) {
    spec.gpu.types = {*type};
  }
}
Written writeGpuType(const DeploymentSpec& spec) { return listUnlessEmpty(spec.gpu.types); }

void readGpuMemory(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto size = reader.bytes(node)) spec.gpu.memoryMin = *size;
}
Written writeGpuMemory(const DeploymentSpec& spec) {
  if (spec.gpu.memoryMin.count == 0) return std::nullopt;
  return yamlText(toText(spec.gpu.memoryMin));
}

void readGpuLink(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto link = reader.word(node, LINKS)) spec.gpu.link = *link;
}
Written writeGpuLink(const DeploymentSpec& spec) { return textUnlessEmpty(spec.gpu.link); }

void readAuto(FieldReader& reader, const YamlNode& node, DeploymentSpec&) {
  if (!isAuto(node)) reader.reportWrongKind(node, "auto or {tp, pp}");
}

void readTensor(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  readCount(reader, node, PARALLEL, spec.parallel.tensor);
}
Written writeTensor(const DeploymentSpec& spec) { return numberIfGiven(spec.parallel.tensor); }

void readPipeline(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  readCount(reader, node, PARALLEL, spec.parallel.pipeline);
}
Written writePipeline(const DeploymentSpec& spec) { return numberIfGiven(spec.parallel.pipeline); }

// 1 is what the planner takes without a word as well, and a record without it is older.
void readExpert(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  readCount(reader, node, PARALLEL, spec.parallel.expert);
  if (spec.parallel.expert == 1u) spec.parallel.expert.reset();
}
Written writeExpert(const DeploymentSpec& spec) { return numberIfGiven(spec.parallel.expert); }

void readOneOnly(FieldReader& reader, const YamlNode& node, DeploymentSpec&) {
  auto number = reader.number(node, PARALLEL);
  if (!number || *number == 1) return;
  reader.report(RefusalCode::NOT_SUPPORTED_YET, node.at,
                reader.path() + " " + node.text + " is not supported yet, only 1 is",
                "leave it out");
}

void readPriority(FieldReader& reader, const YamlNode& node, DeploymentSpec&) {
  if (node.kind == YamlNode::Kind::SCALAR && node.text == "normal") return;
  bool numeric = node.kind == YamlNode::Kind::SCALAR && !node.text.empty() && node.text[0] >= '0' &&
                 node.text[0] <= '9';
  bool known = numeric ? reader.number(node, {0, 1000}).has_value()
                       : reader.word(node, PRIORITIES).has_value();
  if (!known) return;
  reader.report(RefusalCode::NOT_SUPPORTED_YET, node.at,
                "priority " + node.text + " is not supported yet, only normal is", "leave it out");
}

void readReplicas(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto count = reader.number(node, REPLICAS)) spec.replicas = static_cast<uint32_t>(*count);
}
Written writeReplicas(const DeploymentSpec& spec) { return yamlNumber(spec.replicas); }

void readPool(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto name = reader.name(node, NameKind::POOL)) spec.placement.pool = *name;
}
Written writePool(const DeploymentSpec& spec) { return textUnlessEmpty(spec.placement.pool); }

void readNodes(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  spec.placement.nodes = readNodeNames(reader, node);
}
Written writeNodes(const DeploymentSpec& spec) { return writeNodeNames(spec.placement.nodes); }

void readExclude(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  spec.placement.exclude = readNodeNames(reader, node);
}
Written writeExclude(const DeploymentSpec& spec) { return writeNodeNames(spec.placement.exclude); }

void readSpread(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto word = reader.word(node, SPREADS)) {
    spec.placement.spread = *word == "node" ? Spread::NODE : Spread::RACK;
  }
}
Written writeSpread(const DeploymentSpec& spec) {
  if (!spec.placement.spread) return std::nullopt;
  return yamlText(std::string(SPREADS.at(*spec.placement.spread == Spread::NODE ? 0 : 1)));
}

void readFabric(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto word = reader.word(node, FABRICS)) {
    spec.placement.fabric = *word == "preferred" ? Fabric::PREFERRED : Fabric::REQUIRED;
  }
}
Written writeFabric(const DeploymentSpec& spec) {
  if (!spec.placement.fabric) return std::nullopt;
  return yamlText(std::string(FABRICS.at(*spec.placement.fabric == Fabric::PREFERRED ? 0 : 1)));
}

void readTensorWithin(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (reader.word(node, TENSOR_DOMAINS)) spec.placement.tpWithinNode = true;
}
Written writeTensorWithin(const DeploymentSpec& spec) {
  if (!spec.placement.tpWithinNode) return std::nullopt;
  return yamlText("node");
}

void readBalance(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  if (auto word = reader.word(node, BALANCE_TEXTS)) spec.balance = parseBalance(*word);
}
Written writeBalance(const DeploymentSpec& spec) {
  if (!spec.balance) return std::nullopt;
  return yamlText(std::string(toText(*spec.balance)));
}

void readTimeoutReady(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  readDuration(reader, node, spec.timeouts.ready);
}
Written writeTimeoutReady(const DeploymentSpec& spec) {
  return yamlText(toText(spec.timeouts.ready));
}

void readTimeoutStall(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  readDuration(reader, node, spec.timeouts.stall);
}
Written writeTimeoutStall(const DeploymentSpec& spec) {
  return yamlText(toText(spec.timeouts.stall));
}

void readTimeoutDrain(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec) {
  readDuration(reader, node, spec.timeouts.drain);
}
Written writeTimeoutDrain(const DeploymentSpec& spec) {
  return yamlText(toText(spec.timeouts.drain));
}

}  // namespace muster::fields
