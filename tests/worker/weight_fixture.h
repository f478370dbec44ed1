// Weight ports over TLS on loopback, each of a node of its own, and somebody who dials them.
#pragma once

#include "base/event_loop.h"
#include "base/pki.h"
#include "base/random.h"
#include "base/tls_transport.h"
#include "sharding/model_spec.h"
#include "sharding/shard_map.h"
#include "tests/base/temporary_folder.h"
#include "tests/worker/sample_model.h"
#include "worker/model_inspector.h"
#include "worker/weight_server.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace muster::worker {

// Inspects on the spot.
class InspectionBelow final : public ModelInspection {
 public:
  explicit InspectionBelow(std::string root) : roots_({std::move(root)}) {}
  kj::Promise<Result<ModelManifest>> inspect(std::string source) override {
    return inspectModel(roots_, source, {"w1"});
  }

 private:
  ModelRoots roots_;
};

class WeightFixture : public testing::Test {
 protected:
  // A node with the files below `root`.
  struct Node {
    kj::Own<InspectionBelow> inspection;
    kj::Own<Transport> transport;
    kj::Own<WeightServer> server;
    WeightPeer peer;
  };

  WeightFixture() { createCa(folder_.path(), CLUSTER); }
  ~WeightFixture() noexcept override {}  // as gtest's own: an event loop's may throw

  template <class T>
  T within(kj::Promise<T> promise) {
    return loop_.timer().timeoutAfter(60 * kj::SECONDS, kj::mv(promise)).wait(loop_.waitScope());
  }
  TlsFiles certificate(Role role, const std::string& name) {
    return issueCertificate(folder_.path(), {.identity = {role, name}, .cluster = CLUSTER},
                            folder_.path());
  }
  kj::Own<Transport> transport(Role role, const std::string& name) {
    return makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER, certificate(role, name));
  }
  Node serve(const std::string& name, const std::string& root) {
    Node node;
    node.inspection = kj::heap<InspectionBelow>(root);
    node.transport = transport(Role::WORKER, name);
    node.server = kj::heap<WeightServer>(WeightServer::Parts{
        loop_.timer(), *node.inspection, {root}, Logger({.level = LogLevel::ERROR})});
    within(node.server->listen(*node.transport, "127.0.0.1:0"));
    node.peer = {{name}, node.server->address()};
    return node;
  }
  Node serve(const std::string& name) { return serve(name, model_.root.string()); }

  ModelManifest manifest() {
    auto found = inspectModel(ModelRoots({model_.root.string()}), model_.source(), {"w1"});
    EXPECT_TRUE(found.ok());
    return *found;
  }
  std::vector<sharding::Slice> slices(uint32_t tensor, uint32_t pipeline, uint32_t rank) {
    ModelManifest found = manifest();
    auto spec = sharding::readModelSpec(found.configJson, found.tensors);
    ShardPlan plan{.tensor = tensor,
                   .pipeline = pipeline,
                   .stageFirstLayer = sharding::balancedStages(spec->layers, pipeline)};
    return sharding::cutRank(*spec, found.tensors, plan, rank)->slices;
  }
  // Changes one byte of a slice, and nothing of the header.
  void flip(const sharding::Slice& slice) {
    std::string bytes = SampleModel::read(model_.folder / slice.file);
    bytes[slice.offset + 1] = static_cast<char>(bytes[slice.offset + 1] ^ 0x40);
    SampleModel::write(model_.folder / slice.file, bytes);
  }

  inline static const ClusterName CLUSTER{"test"};
  TemporaryFolder folder_;
  SampleModel model_;
  EventLoop loop_;
  SystemRandom random_;
};

}  // namespace muster::worker
