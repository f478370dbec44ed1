// Loads a rank's slices from the files of another node, over its weight port.
//
// One node after the other is asked, until all is there: what a node has given whole is kept when
// it goes, and a slice is never put together from two. Each piece is proven by the checksum of what
// was read over there. Where another rank holds the same slices, each slice is proven by that one's
// checksum: that also finds a file that has changed over there. With a cache, what an earlier rank
// of this node was given is not asked for again.
#pragma once

#include "base/backoff.h"
#include "base/co.h"
#include "base/random.h"
#include "base/rpc.h"
#include "base/transport.h"
#include "protocol/order.h"
#include "protocol/weights.capnp.h"
#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/slice_cache.h"
#include "worker/engine/native/weight_load.h"

#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

struct PeerLoadTask {
  std::string source;          // of the model: "file:/models/sample"
  std::string manifestDigest;  // of the model that was planned
  WeightSources from;          // its manifest is not used
  std::vector<sharding::Slice> slices;
  std::string textFolder = {};  // made, for the texts beside the weights; empty: none are wanted
  std::optional<SliceCache> cache = {};  // looked into first; what comes is kept there
  OperationBoard* board = nullptr;       // where it notes the file it asks for; null: nowhere
};

struct PeerLoadLimits {
  Duration open = 30_s;  // the node inspects the model first
  Duration read = 10_s;  // of one piece
  uint64_t pieceBytes = 1 << 20;
  BackoffPolicy busy{200_ms, 5_s};  // when no node does it, but one would later
};

class PeerLoad final : public WeightLoad {
 public:
  // `transport`, `timer` and `random` outlive this. `onSource`: whence slices come from
  // now on, "node w1".
  PeerLoad(Transport& transport, kj::Timer& timer, Random& random, PeerLoadTask task,
           kj::Function<void(const std::string&)> onSource, PeerLoadLimits limits = {});
  ~PeerLoad() noexcept(false) override;

  // Refuses WEIGHTS_CORRUPT when a node gave wrong bytes and no other could help, else
  // MODEL_NOT_FOUND; names each node that was asked and what came of it.
  kj::Promise<Result<std::vector<LoadedSlice>>> loaded() override;
  uint64_t loadedBytes() const override { return loadedBytes_; }

 private:
  struct Piece {
    size_t slice = 0;
    uint64_t at = 0;  // in the slice's memory
    uint64_t offset = 0;
    uint64_t rows = 1;
    uint64_t rowBytes = 0;
  };
  struct Target {
    LoadedSlice loaded;
    uint64_t got = 0;
    bool isWhole = false;
  };
  using Files = schema::ModelFiles::Client;
  using ReadResponse = capnp::Response<schema::ModelFiles::ReadResults>;

  Co<Result<std::vector<LoadedSlice>>> run();
  Co<void> takeKept();
  bool hasAll() const;
  std::vector<LoadedSlice> takeAll();
  kj::Promise<Result<Done>> tryPeer(size_t peer);
  Co<Result<Done>> loadFrom(WeightPeer peer);
  Co<void> readSlices(Files files);
  Co<void> pump(Files files);
  Co<void> readTexts(Files files);
  kj::Promise<ReadResponse> read(Files& files, const std::string& file, const Piece& piece,
                                 uint64_t stride);
  void beginPeer();
  void cut(size_t slice);
  void take(const Piece& piece, const schema::ModelFiles::ReadResults::Reader& read);
  void finish(Target& target);
  std::string wrongChecksum(const LoadedSlice& loaded) const;
  Refusal refusal() const;

  Transport& transport_;
  kj::Timer& timer_;
  PeerLoadTask task_;
  kj::Function<void(const std::string&)> onSource_;
  PeerLoadLimits limits_;
  Backoff backoff_;
  std::vector<Target> targets_;
  std::deque<Piece> queue_;  // still to be asked for
  bool hasTexts_ = false;
  uint64_t loadedBytes_ = 0;
  std::optional<Refusal> fault_;                  // what the node of this moment did wrong
  std::vector<std::optional<Refusal>> outcomes_;  // by peer, of its newest try
  kj::Promise<Result<std::vector<LoadedSlice>>> loading_ = nullptr;
};

}  // namespace muster::worker
