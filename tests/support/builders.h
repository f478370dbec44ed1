// Nodes and deployments made up for tests: a builder sets only what matters.
#pragma once

#include "protocol/deployment.h"
#include "protocol/node.h"

#include <string>
#include <vector>

namespace muster::testing {

class NodeInfoBuilder {
 public:
  explicit NodeInfoBuilder(const std::string& name) {
    node_.name = NodeName{name};
    node_.address = "10.0.0.1";
    node_.version = "1.0";
  }
  // `count` more devices in one island.
  NodeInfoBuilder& cpus(uint32_t count, Bytes memory) { return devices("cpu", count, memory); }
  NodeInfoBuilder& gpus(uint32_t count, Bytes memory) { return devices("H100", count, memory); }
  NodeInfoBuilder& devices(const std::string& type, uint32_t count, Bytes memory) {
    for (uint32_t i = 0; i < count; ++i) {
      auto index = static_cast<uint32_t>(node_.devices.size());
      node_.devices.push_back(
          {{index}, type, node_.name.value + "-" + std::to_string(index), memory, 0});
    }
    return *this;
  }
  NodeInfoBuilder& rack(const std::string& rack) { return node_.rack = rack, *this; }
  NodeInfoBuilder& label(const std::string& key, const std::string& value) {
    return node_.labels[key] = value, *this;
  }
  NodeInfo get() const { return node_; }

 private:
  NodeInfo node_;
};
inline NodeInfoBuilder node(const std::string& name) { return NodeInfoBuilder(name); }

class SpecBuilder {
 public:
  // A process engine on one device: placed without a model's manifest.
  explicit SpecBuilder(const std::string& name) {
    spec_.name = DeploymentName{name};
    spec_.model.source = "file:/models/" + name;
    spec_.engine.kind = EngineKind::PROCESS;
    spec_.engine.command = {"/usr/bin/engine"};
    devices(1);
  }
  // Devices of one replica, one rank each.
  SpecBuilder& devices(uint32_t count) {
    spec_.gpus = count;
    spec_.parallel.tensor = count;
    spec_.parallel.pipeline = 1;
    return *this;
  }
  SpecBuilder& replicas(uint32_t count) { return spec_.replicas = count, *this; }
  SpecBuilder& native() { return spec_.engine = EngineSpec{}, *this; }
  SpecBuilder& preset(EngineKind kind) {
    spec_.engine = EngineSpec{};
    spec_.engine.kind = kind;
    return *this;
  }
  SpecBuilder& cut(uint32_t tensor, uint32_t pipeline) {
    devices(tensor * pipeline);
    spec_.parallel = {tensor, pipeline};
    return *this;
  }
  SpecBuilder& argument(const std::string& key, const std::string& value) {
    return spec_.engine.args[key] = value, *this;
  }
  SpecBuilder& memoryMin(Bytes memory) { return spec_.gpu.memoryMin = memory, *this; }
  SpecBuilder& tenant(const std::string& name) { return spec_.tenant = TenantName{name}, *this; }
  DeploymentSpec get() const { return spec_; }

 private:
  DeploymentSpec spec_;
};
inline SpecBuilder spec(const std::string& name) { return SpecBuilder(name); }

}  // namespace muster::testing
