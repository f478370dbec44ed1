// Where a rank notes what it does, so that its agent can read it although the rank is stopped or
// hangs in the kernel.
//
// It is memory of the rank's process, to which a link in the rank's folder leads: noting is a plain
// store, without a lock, a system call or a disk that could hold up a step.
#pragma once

#include "base/result.h"
#include "worker/collective/shared_memory.h"
#include "worker/engine/native/rank_operation.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

// The link's name in the rank's folder.
inline constexpr const char* OPERATION_BOARD_NAME = "operations";

// Two may note at a time: the event loop, with those who read files for it, and the engine's
// thread. While the engine does something, that is what the rank does.
class OperationBoard {
 public:
  // Throws a kj::Exception when the kernel has no memory.
  OperationBoard();

  // Makes it readable at `path`, as long as this lives. Refuses INTERNAL when no link can be made.
  Result<Done> publish(const std::string& path) const;

  void begin(RankOperation what, uint32_t detail = 0) {
    note(isOfEngine(what) ? page_.engine : page_.loop, what, detail);
  }
  // Of the files that beginFile() names; before any reader begins. Of many only the first 255.
  void nameFiles(const std::vector<std::string>& names);
  void beginFile(RankOperation what, const std::string& name);
  // The engine: the operations from here on belong to this step.
  void beginStep(uint64_t step, size_t sequences);
  // The engine: it does nothing from here on.
  void rest() { note(page_.engine, RankOperation::NONE, 0); }

  LastOperation last() const;  // from any thread
  // ", during attention of layer 3 in step 7, 1 sequence"; empty while no step is computed.
  std::string duringText() const;

  // As it lies in memory; all zero bytes but the magic are a new board.
  static constexpr std::array<char, 8> MAGIC{'M', 'S', 'T', 'O', 'P', 'S', '0', '1'};
  static constexpr uint32_t FILES_MAX = 255;
  using FileName = std::array<char, 64>;  // cut where it is longer, filled up with zeros
  struct Page {
    std::array<char, 8> magic;     // its last two are the version
    std::atomic<uint64_t> loop;    // 8 bits what, 16 detail, 40 how many have begun
    std::atomic<uint64_t> engine;  // the same
    std::atomic<uint64_t> step;    // 48 bits number, 16 sequences
    uint64_t unused[4];
    FileName files[FILES_MAX];
  };

 private:
  static void note(std::atomic<uint64_t>& lane, RankOperation what, uint32_t detail) {
    constexpr uint64_t BEGUN_MASK = (uint64_t{1} << 40) - 1;
    const uint64_t begun = (lane.load(std::memory_order_relaxed) + 1) & BEGUN_MASK;
    lane.store(uint64_t{static_cast<uint8_t>(what)} << 56 | uint64_t{detail & 0xffff} << 40 | begun,
               std::memory_order_release);
  }

  SharedMemory memory_;
  SharedMapping mapping_;
  Page& page_;
};
static_assert(sizeof(OperationBoard::Page) == 16384);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// From another process, of a board that was published at `path`. Nothing when there is none, when
// its process is gone, or when it is of another version. Of a rank that goes on meanwhile it may
// leave out the step.
std::optional<LastOperation> readOperationBoard(const std::string& path);

// Notes nowhere without a board.
inline void noteOperation(OperationBoard* board, RankOperation what, uint32_t detail = 0) {
  if (board != nullptr) board->begin(what, detail);
}

// While one lives the engine is at work; afterwards it rests, also after an exception.
class EngineAtWork {
 public:
  explicit EngineAtWork(OperationBoard* board) : board_(board) {}
  ~EngineAtWork() {
    if (board_ != nullptr) board_->rest();
  }
  EngineAtWork(const EngineAtWork&) = delete;
  EngineAtWork& operator=(const EngineAtWork&) = delete;

 private:
  OperationBoard* board_;
};

}  // namespace muster::worker
