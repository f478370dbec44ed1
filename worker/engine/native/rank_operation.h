// What a rank of the native engine is doing, in words that tell an operator where it hangs.
#pragma once

#include <cstdint>
#include <string>

namespace muster::worker {

// The numbers stand in memory that an agent of another version may read: each keeps its meaning.
enum class RankOperation : uint8_t {
  NONE = 0,
  // Of the event loop and of the threads that read files for it.
  START = 1,
  OPEN_FILE = 2,
  LOAD_FILE = 3,
  READ_TEXT = 4,
  JOIN = 5,
  SERVE = 6,
  // Of the engine's thread.
  OPEN_DEVICE = 32,
  PLACE_WEIGHTS = 33,
  MEET = 34,
  AWAIT_STEP = 35,
  TELL_STEP = 36,
  TELL_ALIVE = 37,
  PREPARE = 38,
  EMBED = 39,
  SUM_EMBEDDING = 40,
  RECEIVE_ACTIVATIONS = 41,
  ATTENTION = 42,
  SUM_ATTENTION = 43,
  FEED_FORWARD = 44,
  SUM_FEED_FORWARD = 45,
  SEND_ACTIVATIONS = 46,
  LOGITS = 47,
  GATHER_LOGITS = 48,
  SEND_LOGITS = 49,
  RECEIVE_LOGITS = 50,
};

constexpr bool isOfEngine(RankOperation what) { return what >= RankOperation::OPEN_DEVICE; }

// Whose fault it is when the operation does not end.
enum class Blame : uint8_t {
  NOBODY,  // it may last for ever: a rank that serves and is asked nothing
  SELF,    // it needs no other rank
  PEER     // it waits for other ranks, with a deadline of its own
};
Blame blameFor(RankOperation what);  // NOBODY for one that this version does not know

struct LastOperation {
  RankOperation what = RankOperation::NONE;
  uint32_t detail = 0;     // number of the layer in the model, of the stage, or of the tensor
  std::string file = {};   // of OPEN_FILE and LOAD_FILE; empty: not known
  uint64_t step = 0;       // 0: not a part of a step
  uint32_t sequences = 0;  // of the step
  uint64_t begun = 0;      // how many operations have begun so far
  bool operator==(const LastOperation&) const = default;
};

// "all-reduce of layer 17's attention output in step 4102, 5 sequences"
std::string toText(const LastOperation& last);

bool isPartOfStep(RankOperation what);

}  // namespace muster::worker
