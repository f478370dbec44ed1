// The weight port of a worker: gives ranks of other nodes the bytes of models below our roots.
#pragma once

#include "base/log.h"
#include "base/rpc.h"
#include "base/transport.h"
#include "worker/engine/native/engine_thread.h"
#include "worker/model_roots.h"
#include "worker/ranks.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

// Files are read on a thread of its own, in pieces, a few for each reader: WEIGHT_READERS_MAX *
// WEIGHT_READS_MAX * WEIGHT_PIECE_MAX bytes at most are held. Who is no worker of the cluster is
// refused NOT_ALLOWED.
class WeightServer {
 public:
  struct Parts {
    kj::Timer& timer;
    ModelInspection& inspection;  // below the same roots
    std::vector<std::string> modelRoots;
    Logger logger;
  };
  // What `parts` refers to outlives this.
  explicit WeightServer(Parts parts);

  // Serves at `address`, "HOST:PORT", until this is dropped. Throws when it cannot.
  kj::Promise<void> listen(Transport& transport, std::string address);
  // "HOST:PORT" with the real port; after listen().
  std::string address() const { return listener_->address(); }
  uint32_t readers() const { return *readers_; }

 private:
  class Gate;
  class Files;
  struct OpenModel;

  Parts parts_;
  std::shared_ptr<uint32_t> readers_ = std::make_shared<uint32_t>(0);
  EngineThread reading_;
  RpcServer server_;
  kj::Own<Listener> listener_;
};

}  // namespace muster::worker
