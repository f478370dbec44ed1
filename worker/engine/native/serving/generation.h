// One answer on its way: what is asked of the engine, and the pieces that come back.
#pragma once

#include "base/result.h"
#include "worker/engine/native/serving/sampler.h"

#include <kj/async.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

struct GenerationTask {
  std::vector<TokenId> prompt;  // with its prefix; not empty
  uint32_t tokensMax = 1;       // of the answer; at least 1
  SamplingOptions sampling;
  std::vector<TokenId> stopTokens;  // each ends the answer and shows nothing
  std::vector<std::string> stops;   // each ends the answer before itself; none is empty
  uint32_t likeliest = 0;           // how many tokens are listed beside each that is chosen
};

enum class FinishReason : uint8_t {
  STOP,   // a stop token or a stop string
  LENGTH  // tokensMax
};

// What is new since the piece before. Text may come later than its tokens: half characters and what
// may begin a stop string stay back.
struct GenerationPiece {
  std::string text;
  std::vector<TokenChoice> tokens;
  std::optional<FinishReason> finish;  // on the last piece
  std::optional<Refusal> failure;      // on the last piece, in place of `finish`

  bool isLast() const { return finish.has_value() || failure.has_value(); }
  // Adds what came after it.
  void merge(GenerationPiece later);
};

// From the engine's thread to an event loop. Holds at most one answer.
class PieceQueue {
 public:
  void push(GenerationPiece piece);     // by the engine
  kj::Promise<GenerationPiece> take();  // on the loop, one at a time: all that is there, merged

 private:
  std::mutex mutex_;
  std::optional<GenerationPiece> waiting_;
  kj::Maybe<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> waker_;
};

}  // namespace muster::worker
