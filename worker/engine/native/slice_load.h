// Loads a rank's slices: parallel positional reads of megabytes into aligned memory, a checksum for
// each slice.
//
// A rank asks for its own bytes only: of a tensor that is cut by columns, row by row. Reads go
// through the page cache on purpose: ranks of one node that share the pages of a tensor read them
// at about the same time, and the disk gives each byte once. With two threads nothing is lost
// against O_DIRECT, which would read shared pages for each rank.
#pragma once

#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/weight_load.h"
#include "worker/model_roots.h"

#include <kj/thread.h>

namespace muster::worker {

// A file of the model that a load reads from.
struct SliceFile {
  std::string name;  // as slices name it
  OpenedPath opened;
};

// Reads on threads of its own. Refuses WEIGHTS_CORRUPT naming file, offset and cause of the first
// failure.
class SliceLoad final : public WeightLoad {
 public:
  // `slices`: each within its file's size, which must be among `files`. `threads`: at least 1.
  // `board`: where they note the file that they read; null: nowhere.
  SliceLoad(std::vector<SliceFile> files, std::vector<sharding::Slice> slices, uint32_t threads,
            OperationBoard* board = nullptr);
  ~SliceLoad() noexcept(false) override;

  kj::Promise<Result<std::vector<LoadedSlice>>> loaded() override;
  uint64_t loadedBytes() const override;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  kj::Promise<void> finished_;
  std::vector<kj::Own<kj::Thread>> threads_;
};

}  // namespace muster::worker
