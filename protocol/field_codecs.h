// How each field of a deployment is read from YAML and written back; deployment_fields.cpp lists
// them.
#pragma once

#include "protocol/deployment.h"
#include "protocol/field_reader.h"
#include "protocol/yaml_document.h"

#include <optional>

namespace muster::fields {

// One pair of functions for each field. The readers take a node that is neither NOTHING nor BROKEN.
#define MUSTER_FIELD(name)                                                          \
  void read##name(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec); \
  std::optional<YamlNode> write##name(const DeploymentSpec& spec)

MUSTER_FIELD(Name);
MUSTER_FIELD(Tenant);
MUSTER_FIELD(ModelSource);
MUSTER_FIELD(MaxContext);
MUSTER_FIELD(WeightDtype);
MUSTER_FIELD(Aliases);
MUSTER_FIELD(EngineKind);
MUSTER_FIELD(Command);
MUSTER_FIELD(Arguments);
MUSTER_FIELD(Environment);
MUSTER_FIELD(ReadyHttp);
MUSTER_FIELD(ReadyLog);
MUSTER_FIELD(ReadyTimeout);
MUSTER_FIELD(Gpus);
MUSTER_FIELD(GpuType);
MUSTER_FIELD(GpuMemory);
MUSTER_FIELD(GpuLink);
MUSTER_FIELD(Tensor);
MUSTER_FIELD(Pipeline);
MUSTER_FIELD(Expert);
MUSTER_FIELD(Stages);
MUSTER_FIELD(Replicas);
MUSTER_FIELD(Pool);
MUSTER_FIELD(Nodes);
MUSTER_FIELD(Exclude);
MUSTER_FIELD(Spread);
MUSTER_FIELD(Fabric);
MUSTER_FIELD(TensorWithin);
MUSTER_FIELD(Balance);
MUSTER_FIELD(TimeoutReady);
MUSTER_FIELD(TimeoutStall);
MUSTER_FIELD(TimeoutDrain);
#undef MUSTER_FIELD

// Fields with one possible value in this version: checked, and not kept.
void readVersion(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec);
void readKind(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec);
void readOneOnly(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec);  // dp
void readPriority(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec);
void readAuto(FieldReader& reader, const YamlNode& node, DeploymentSpec& spec);  // parallel: auto
std::optional<YamlNode> writeVersion(const DeploymentSpec& spec);
std::optional<YamlNode> writeKind(const DeploymentSpec& spec);

}  // namespace muster::fields
