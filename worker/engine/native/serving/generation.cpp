#include "worker/engine/native/serving/generation.h"

#include <iterator>
#include <utility>

namespace muster::worker {

void GenerationPiece::merge(GenerationPiece later) {
  text += later.text;
  tokens.insert(tokens.end(), std::make_move_iterator(later.tokens.begin()),
                std::make_move_iterator(later.tokens.end()));
  finish = later.finish;
  failure = std::move(later.failure);
}

void PieceQueue::push(GenerationPiece piece) {
  std::lock_guard lock(mutex_);
  if (waiting_) {
    waiting_->merge(std::move(piece));
  } else {
    waiting_ = std::move(piece);
  }
  KJ_IF_MAYBE (waker, waker_) {
    (*waker)->fulfill();
    waker_ = nullptr;
  }
}

kj::Promise<GenerationPiece> PieceQueue::take() {
  std::lock_guard lock(mutex_);
  if (waiting_) return *std::exchange(waiting_, std::nullopt);
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  waker_ = kj::mv(paf.fulfiller);
  return paf.promise.then([this] { return take(); });
}

}  // namespace muster::worker
