// Model manifests and deployment specs between values and Cap'n Proto.
#include "protocol/codec.h"
#include "protocol/codec_lists.h"

#include <algorithm>

namespace muster {

using codec::checked;
using codec::reader;
using codec::text;

namespace {

// The place of a file in the manifest; tensors name their file by it, so that a name is stored
// once.
uint32_t fileNumber(const ModelManifest& manifest, const std::string& name) {
  auto found = std::find_if(manifest.files.begin(), manifest.files.end(),
                            [&](const ModelFile& file) { return file.name == name; });
  KJ_REQUIRE(found != manifest.files.end(), "a tensor names a file that the manifest lacks",
             name.c_str());
  return static_cast<uint32_t>(found - manifest.files.begin());
}

void encodeTensor(const TensorInfo& tensor, uint32_t file, schema::Tensor::Builder out) {
  out.setName(reader(tensor.name));
  out.setDtype(static_cast<uint8_t>(tensor.dtype));
  auto shape = out.initShape(static_cast<uint32_t>(tensor.shape.size()));
  for (uint32_t i = 0; i < shape.size(); ++i) shape.set(i, tensor.shape[i]);
  out.setFile(file);
  out.setOffsetBytes(tensor.offset);
  out.setSizeBytes(tensor.bytes);
}

TensorInfo decodeTensor(schema::Tensor::Reader in, const std::vector<ModelFile>& files) {
  KJ_REQUIRE(in.getFile() < files.size(), "a tensor names a file that the manifest lacks",
             in.getName(), in.getFile());
  TensorInfo out;
  out.name = text(in.getName());
  out.dtype = checked(in.getDtype(), Dtype::F8_E5M2, "dtype");
  for (auto dimension : in.getShape()) out.shape.push_back(dimension);
  out.file = files[in.getFile()].name;
  out.offset = in.getOffsetBytes();
  out.bytes = in.getSizeBytes();
  return out;
}

}  // namespace

void encode(const ModelManifest& value, schema::ModelManifest::Builder out) {
  out.setSource(reader(value.source));
  out.setDigest(reader(value.digest));
  out.setConfigJson(reader(value.configJson));
  codec::fillStructs(value.files, out.initFiles(static_cast<uint32_t>(value.files.size())),
                     [](const ModelFile& file, schema::ModelFile::Builder one) {
                       one.setName(reader(file.name));
                       one.setSizeBytes(file.size.count);
                       one.setHeaderDigest(reader(file.headerDigest));
                     });
  codec::fillStructs(value.tensors, out.initTensors(static_cast<uint32_t>(value.tensors.size())),
                     [&](const TensorInfo& tensor, schema::Tensor::Builder one) {
                       encodeTensor(tensor, fileNumber(value, tensor.file), one);
                     });
  out.setInspectedBy(reader(value.inspectedBy.value));
}

ModelManifest decode(schema::ModelManifest::Reader in) {
  ModelManifest out;
  out.source = text(in.getSource());
  out.digest = text(in.getDigest());
  out.configJson = text(in.getConfigJson());
  out.files = codec::structs<ModelFile>(in.getFiles(), [](schema::ModelFile::Reader one) {
    return ModelFile{text(one.getName()), {one.getSizeBytes()}, text(one.getHeaderDigest())};
  });
  out.tensors = codec::structs<TensorInfo>(
      in.getTensors(), [&](schema::Tensor::Reader one) { return decodeTensor(one, out.files); });
  out.inspectedBy = {text(in.getInspectedBy())};
  return out;
}

namespace {

std::vector<NodeName> nodeNames(capnp::List<capnp::Text>::Reader in) {
  std::vector<NodeName> out;
  for (auto name : in) out.push_back({text(name)});
  return out;
}

template <class List>
void fillNodeNames(const std::vector<NodeName>& in, List out) {
  for (uint32_t i = 0; i < in.size(); ++i) out.set(i, reader(in[i].value));
}

std::optional<uint32_t> numberOrNothing(uint32_t number) {
  if (number == 0) return std::nullopt;
  return number;
}

void encodeRules(const PlacementRules& rules, schema::DeploymentSpec::Builder out) {
  out.setPool(reader(rules.pool));
  fillNodeNames(rules.nodes, out.initNodes(static_cast<uint32_t>(rules.nodes.size())));
  fillNodeNames(rules.exclude, out.initExcludedNodes(static_cast<uint32_t>(rules.exclude.size())));
  out.setSpread(rules.spread ? static_cast<uint8_t>(1 + static_cast<uint8_t>(*rules.spread)) : 0);
  out.setFabric(rules.fabric ? static_cast<uint8_t>(1 + static_cast<uint8_t>(*rules.fabric)) : 0);
  out.setTpWithinNode(rules.tpWithinNode);
}

PlacementRules decodeRules(schema::DeploymentSpec::Reader in) {
  PlacementRules out;
  out.pool = text(in.getPool());
  out.nodes = nodeNames(in.getNodes());
  out.exclude = nodeNames(in.getExcludedNodes());
  if (uint8_t number = in.getSpread(); number != 0) {
    out.spread = checked(static_cast<uint8_t>(number - 1), Spread::RACK, "spread");
  }
  if (uint8_t number = in.getFabric(); number != 0) {
    out.fabric = checked(static_cast<uint8_t>(number - 1), Fabric::REQUIRED, "fabric");
  }
  out.tpWithinNode = in.getTpWithinNode();
  return out;
}

// Left null without stages: so such a deployment has the bytes that it had before they existed.
void encodeStages(const std::vector<StageRequest>& stages, schema::DeploymentSpec::Builder out) {
  if (stages.empty()) return;
  codec::fillStructs(stages, out.initStages(static_cast<uint32_t>(stages.size())),
                     [](const StageRequest& stage, schema::PipelineStage::Builder one) {
                       one.setTensorParallel(stage.tensor.value_or(0));
                       if (stage.layers) {
                         one.setFirstLayer(stage.layers->first);
                         one.setLayerCount(stage.layers->last - stage.layers->first + 1);
                       }
                       codec::fillTexts(
                           stage.gpu.types,
                           one.initGpuTypes(static_cast<uint32_t>(stage.gpu.types.size())));
                       one.setGpuMemoryMinBytes(stage.gpu.memoryMin.count);
                     });
}

StageRequest decodeStage(schema::PipelineStage::Reader in) {
  StageRequest out;
  out.tensor = numberOrNothing(in.getTensorParallel());
  if (in.getLayerCount() != 0) {
    out.layers = LayerRange{in.getFirstLayer(), in.getFirstLayer() + in.getLayerCount() - 1};
  }
  out.gpu.types = codec::texts(in.getGpuTypes());
  out.gpu.memoryMin = {in.getGpuMemoryMinBytes()};
  return out;
}

}  // namespace

void encode(const DeploymentSpec& value, schema::DeploymentSpec::Builder out) {
  out.setTenant(reader(value.tenant.value));
  out.setName(reader(value.name.value));
  out.setModelSource(reader(value.model.source));
  out.setModelRevision(reader(value.model.revision));
  out.setModelSha256(reader(value.model.sha256));
  out.setModelDtype(reader(value.model.dtype));
  out.setMaxContextTokens(value.model.maxContext.value_or(0));
  codec::fillTexts(value.model.aliases,
                   out.initAliases(static_cast<uint32_t>(value.model.aliases.size())));
  encode(value.engine, out.initEngine());
  out.setGpus(value.gpus.value_or(0));
  codec::fillTexts(value.gpu.types,
                   out.initGpuTypes(static_cast<uint32_t>(value.gpu.types.size())));
  out.setGpuMemoryMinBytes(value.gpu.memoryMin.count);
  out.setGpuLink(reader(value.gpu.link));
  out.setTensorParallel(value.parallel.tensor.value_or(0));
  out.setPipelineParallel(value.parallel.pipeline.value_or(0));
  out.setExpertParallel(value.parallel.expert.value_or(0));
  encodeStages(value.stages, out);
  out.setReplicas(value.replicas);
  encodeRules(value.placement, out);
  out.setReadyTimeoutNs(value.timeouts.ready.nanos);
  out.setStallTimeoutNs(value.timeouts.stall.nanos);
  out.setDrainTimeoutNs(value.timeouts.drain.nanos);
  out.setBalance(value.balance ? static_cast<uint8_t>(1 + static_cast<uint8_t>(*value.balance))
                               : 0);
}

DeploymentSpec decode(schema::DeploymentSpec::Reader in) {
  DeploymentSpec out;
  out.tenant = {text(in.getTenant())};
  out.name = {text(in.getName())};
  out.model.source = text(in.getModelSource());
  out.model.revision = text(in.getModelRevision());
  out.model.sha256 = text(in.getModelSha256());
  out.model.dtype = text(in.getModelDtype());
  if (in.getMaxContextTokens() != 0) out.model.maxContext = in.getMaxContextTokens();
  out.model.aliases = codec::texts(in.getAliases());
  out.engine = decode(in.getEngine());
  out.gpus = numberOrNothing(in.getGpus());
  out.gpu.types = codec::texts(in.getGpuTypes());
  out.gpu.memoryMin = {in.getGpuMemoryMinBytes()};
  out.gpu.link = text(in.getGpuLink());
  out.parallel.tensor = numberOrNothing(in.getTensorParallel());
  out.parallel.pipeline = numberOrNothing(in.getPipelineParallel());
  out.parallel.expert = numberOrNothing(in.getExpertParallel());
  out.stages = codec::structs<StageRequest>(in.getStages(), decodeStage);
  out.replicas = in.getReplicas();
  out.placement = decodeRules(in);
  out.timeouts.ready = {in.getReadyTimeoutNs()};
  out.timeouts.stall = {in.getStallTimeoutNs()};
  out.timeouts.drain = {in.getDrainTimeoutNs()};
  if (uint8_t number = in.getBalance(); number != 0) {
    out.balance = checked(static_cast<uint8_t>(number - 1), Balance::PREFIX, "balance");
  }
  return out;
}

}  // namespace muster
