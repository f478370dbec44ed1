// Ids, nodes, models, deployments and plans between values and Cap'n Proto.
#include "protocol/codec.h"
#include "protocol/codec_lists.h"

namespace muster {

using codec::checked;
using codec::reader;
using codec::text;

void encode(const Guid& value, schema::Guid::Builder out) {
  out.setHigh(value.high);
  out.setLow(value.low);
}

Guid decode(schema::Guid::Reader in) { return {in.getHigh(), in.getLow()}; }

void encode(const HistoryId& value, schema::HistoryId::Builder out) {
  out.setNumber(value.number);
  encode(value.guid, out.initGuid());
}

HistoryId decode(schema::HistoryId::Reader in) { return {in.getNumber(), decode(in.getGuid())}; }

void encode(const FencingToken& value, schema::FencingToken::Builder out) {
  encode(value.history, out.initHistory());
  out.setEpoch(value.epoch.value);
}

FencingToken decode(schema::FencingToken::Reader in) {
  return {decode(in.getHistory()), {in.getEpoch()}};
}

void encode(const RequestId& value, schema::RequestId::Builder out) {
  encode(value.guid, out.initGuid());
  out.setClusterTimeNs(value.clusterTime.nanos);
}

RequestId decode(schema::RequestId::Reader in) {
  return {decode(in.getGuid()), {in.getClusterTimeNs()}};
}

void encode(const Refusal& value, schema::Refusal::Builder out) {
  out.setCode(static_cast<uint16_t>(value.code));
  out.setText(reader(value.text));
  codec::fillStructs(value.errors, out.initErrors(static_cast<uint32_t>(value.errors.size())),
                     [](const InputError& error, schema::InputError::Builder one) {
                       one.setCode(static_cast<uint16_t>(error.code));
                       one.setPath(reader(error.path));
                       one.setLine(error.line);
                       one.setColumn(error.column);
                       one.setMessage(reader(error.message));
                       one.setHint(reader(error.hint));
                       one.setSourceLine(reader(error.sourceLine));
                     });
  codec::fillTexts(value.fixes, out.initFixes(static_cast<uint32_t>(value.fixes.size())));
}

Refusal decode(schema::Refusal::Reader in) {
  auto decodeError = [](schema::InputError::Reader one) {
    return InputError{.code = static_cast<RefusalCode>(one.getCode()),
                      .path = text(one.getPath()),
                      .line = one.getLine(),
                      .column = one.getColumn(),
                      .message = text(one.getMessage()),
                      .hint = text(one.getHint()),
                      .sourceLine = text(one.getSourceLine())};
  };
  return {.code = static_cast<RefusalCode>(in.getCode()),
          .text = text(in.getText()),
          .errors = codec::structs<InputError>(in.getErrors(), decodeError),
          .fixes = codec::texts(in.getFixes())};
}

namespace {

// An empty text is left null: so a device without them has the bytes that it had before these
// fields existed.
void encodeGpu(const DeviceInfo& device, schema::Device::Builder out) {
  if (!device.unhealthy.empty()) out.setUnhealthy(reader(device.unhealthy));
  if (!device.product.empty()) out.setProduct(reader(device.product));
  if (!device.busId.empty()) out.setBusId(reader(device.busId));
  if (device.numaNode) out.setNumaNodePlusOne(*device.numaNode + 1);
}

std::optional<uint32_t> numaNodeOf(schema::Device::Reader in) {
  if (in.getNumaNodePlusOne() == 0) return std::nullopt;
  return in.getNumaNodePlusOne() - 1;
}

}  // namespace

void encode(const NodeInfo& value, schema::Node::Builder out) {
  out.setName(reader(value.name.value));
  out.setAddress(reader(value.address));
  out.setRack(reader(value.rack));
  codec::fillPairs(value.labels, out.initLabels(static_cast<uint32_t>(value.labels.size())));
  codec::fillStructs(value.devices, out.initDevices(static_cast<uint32_t>(value.devices.size())),
                     [](const DeviceInfo& device, schema::Device::Builder one) {
                       one.setIndex(device.index.value);
                       one.setType(reader(device.type));
                       one.setUuid(reader(device.uuid));
                       one.setMemoryBytes(device.memory.count);
                       one.setIsland(device.island);
                       encodeGpu(device, one);
                     });
  out.setVersion(reader(value.version));
  if (!value.driver.empty()) out.setDriver(reader(value.driver));
}

NodeInfo decode(schema::Node::Reader in) {
  auto decodeDevice = [](schema::Device::Reader one) {
    return DeviceInfo{.index = {one.getIndex()},
                      .type = text(one.getType()),
                      .uuid = text(one.getUuid()),
                      .memory = {one.getMemoryBytes()},
                      .island = one.getIsland(),
                      .unhealthy = text(one.getUnhealthy()),
                      .product = text(one.getProduct()),
                      .busId = text(one.getBusId()),
                      .numaNode = numaNodeOf(one)};
  };
  return {.name = {text(in.getName())},
          .address = text(in.getAddress()),
          .rack = text(in.getRack()),
          .labels = codec::pairs(in.getLabels()),
          .devices = codec::structs<DeviceInfo>(in.getDevices(), decodeDevice),
          .version = text(in.getVersion()),
          .driver = text(in.getDriver())};
}

void encode(const EngineSpec& value, schema::Engine::Builder out) {
  bool isPreset = value.kind > EngineKind::PROCESS;
  out.setKind(static_cast<uint8_t>(isPreset ? EngineKind::PROCESS : value.kind));
  out.setPreset(isPreset ? static_cast<uint8_t>(value.kind) : 0);
  out.setVersion(reader(value.version));
  codec::fillPairs(value.args, out.initArgs(static_cast<uint32_t>(value.args.size())));
  codec::fillPairs(value.env, out.initEnv(static_cast<uint32_t>(value.env.size())));
  codec::fillTexts(value.command, out.initCommand(static_cast<uint32_t>(value.command.size())));
  auto ready = out.initReady();
  ready.setHttpPath(reader(value.ready.httpPath.value_or("")));
  ready.setLogLine(reader(value.ready.logLine.value_or("")));
  ready.setTimeoutNs(value.ready.timeout.value_or(Duration{}).nanos);
}

namespace {

std::optional<std::string> textOrNothing(capnp::Text::Reader in) {
  if (in.size() == 0) return std::nullopt;
  return text(in);
}

}  // namespace

EngineSpec decode(schema::Engine::Reader in) {
  EngineSpec out;
  out.kind = checked(in.getKind(), EngineKind::PROCESS, "engine kind");
  if (in.getPreset() != 0) {
    out.kind = checked(in.getPreset(), EngineKind::TORCHRUN, "engine preset");
  }
  out.version = text(in.getVersion());
  out.args = codec::pairs(in.getArgs());
  out.env = codec::pairs(in.getEnv());
  out.command = codec::texts(in.getCommand());
  auto ready = in.getReady();
  out.ready.httpPath = textOrNothing(ready.getHttpPath());
  out.ready.logLine = textOrNothing(ready.getLogLine());
  if (ready.getTimeoutNs() != 0) out.ready.timeout = Duration{ready.getTimeoutNs()};
  return out;
}

void encode(const ShardPlan& value, schema::ShardPlan::Builder out) {
  out.setTensorParallel(value.tensor);
  out.setPipelineParallel(value.pipeline);
  auto stages = out.initStageFirstLayer(static_cast<uint32_t>(value.stageFirstLayer.size()));
  for (uint32_t i = 0; i < stages.size(); ++i) stages.set(i, value.stageFirstLayer[i]);
  auto weights = out.initRankWeightBytes(static_cast<uint32_t>(value.rankWeights.size()));
  for (uint32_t i = 0; i < weights.size(); ++i) weights.set(i, value.rankWeights[i].count);
  auto memory = out.initRankMemoryBytes(static_cast<uint32_t>(value.rankMemory.size()));
  for (uint32_t i = 0; i < memory.size(); ++i) memory.set(i, value.rankMemory[i].count);
  out.setExpertParallel(value.expert == 1 ? 0 : value.expert);
  out.setWeightFormat(static_cast<uint8_t>(value.format));
}

ShardPlan decode(schema::ShardPlan::Reader in) {
  ShardPlan out;
  out.tensor = in.getTensorParallel();
  out.pipeline = in.getPipelineParallel();
  for (auto layer : in.getStageFirstLayer()) out.stageFirstLayer.push_back(layer);
  for (auto bytes : in.getRankWeightBytes()) out.rankWeights.push_back({bytes});
  for (auto bytes : in.getRankMemoryBytes()) out.rankMemory.push_back({bytes});
  out.expert = in.getExpertParallel() == 0 ? 1 : in.getExpertParallel();
  out.format = checked(in.getWeightFormat(), WeightFormat::INT8, "weight format");
  return out;
}

void encode(const RankPlacement& value, schema::RankPlacement::Builder out) {
  out.setRank(value.rank.value);
  out.setNode(reader(value.node.value));
  auto devices = out.initDevices(static_cast<uint32_t>(value.devices.size()));
  for (uint32_t i = 0; i < devices.size(); ++i) devices.set(i, value.devices[i].value);
  out.setMemoryBytes(value.memory.count);
}

RankPlacement decode(schema::RankPlacement::Reader in) {
  RankPlacement out;
  out.rank = {in.getRank()};
  out.node = {text(in.getNode())};
  for (auto device : in.getDevices()) out.devices.push_back({device});
  out.memory = {in.getMemoryBytes()};
  return out;
}

void encode(const RankRef& value, schema::RankRef::Builder out) {
  out.setDeploymentUid(value.deployment.value);
  out.setReplica(value.replica.value);
  out.setGeneration(value.generation.value);
  out.setRank(value.rank.value);
}

RankRef decode(schema::RankRef::Reader in) {
  return {.deployment = {in.getDeploymentUid()},
          .replica = {in.getReplica()},
          .generation = {in.getGeneration()},
          .rank = {in.getRank()}};
}

}  // namespace muster
