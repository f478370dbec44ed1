// Clusters and deployments made up for tests: a builder sets only what matters.
#pragma once

#include "protocol/deployment.h"
#include "sharding/cluster_view.h"

#include <string>

namespace muster::sharding::test {

class NodeBuilder {
 public:
  explicit NodeBuilder(const std::string& name) { node_.name = NodeName{name}; }

  // `count` more devices of one type in one island.
  NodeBuilder& devices(uint32_t count, Bytes memory, const std::string& type = "cpu",
                       uint32_t island = 0) {
    for (uint32_t i = 0; i < count; ++i) {
      auto index = DeviceIndex{static_cast<uint32_t>(node_.devices.size())};
      node_.devices.push_back({index, type, island, memory, {}, {}});
    }
    return *this;
  }
  NodeBuilder& rack(const std::string& rack) { return node_.rack = rack, *this; }
  NodeBuilder& label(const std::string& name, const std::string& value) {
    return node_.labels[name] = value, *this;
  }
  NodeBuilder& closed(const std::string& word, const std::string& detail) {
    return node_.closed = word, node_.closedDetail = detail, *this;
  }
  NodeBuilder& unhealthy(uint32_t device, const std::string& why) {
    return node_.devices.at(device).unhealthy = why, *this;
  }
  // `owner`: name of a deployment of tenant "default".
  NodeBuilder& use(uint32_t device, const std::string& owner, Bytes memory) {
    node_.devices.at(device).uses.push_back(
        {TenantName{"default"}, DeploymentName{owner}, {}, {}, memory});
    return *this;
  }
  NodeView get() const { return node_; }

 private:
  NodeView node_;
};

inline NodeBuilder node(const std::string& name) { return NodeBuilder(name); }

template <class... Nodes>
ClusterView cluster(const Nodes&... nodes) {
  return {{nodes.get()...}};
}

inline DeploymentSpec deployment(const std::string& name = "chat") {
  DeploymentSpec spec;
  spec.name = DeploymentName{name};
  spec.model.source = "file:/models/test";
  return spec;
}

inline DeploymentSpec processDeployment(const std::string& name = "tool") {
  auto spec = deployment(name);
  spec.engine.kind = EngineKind::PROCESS;
  spec.engine.command = {"/usr/bin/engine"};
  return spec;
}

}  // namespace muster::sharding::test
