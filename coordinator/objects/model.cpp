#include "coordinator/objects/model.h"

#include "sharding/model_spec.h"

namespace muster::coordinator {
namespace {

// A tied head counts once, where the architecture is known; else all elements of all tensors.
uint64_t parametersOf(const ModelManifest& manifest) {
  auto spec = sharding::readModelSpec(manifest.configJson, manifest.tensors);
  if (spec) return spec->parameters;
  uint64_t elements = 0;
  for (const auto& tensor : manifest.tensors) {
    uint32_t width = bytesPerElement(tensor.dtype);
    if (width > 0) elements += tensor.bytes / width;
  }
  return elements;
}

std::string architectureOf(const ModelManifest& manifest) {
  auto spec = sharding::readModelSpec(manifest.configJson, manifest.tensors);
  return spec ? spec->architecture : "";
}

}  // namespace

Json modelObject(const ModelManifest& manifest) {
  uint64_t bytes = 0;
  for (const auto& file : manifest.files) bytes += file.size.count;
  return {{"kind", "model"},
          {"source", manifest.source},
          {"digest", manifest.digest},
          {"architecture", architectureOf(manifest)},
          {"parameters", parametersOf(manifest)},
          {"bytes", bytes},
          {"tensors", manifest.tensors.size()},
          {"files", manifest.files.size()},
          {"inspected_by", manifest.inspectedBy.value}};
}

}  // namespace muster::coordinator
