#include "worker/engine/native/serving/answers.h"

#include <algorithm>
#include <utility>

namespace muster::worker {

Answers::Answers(std::vector<kj::Own<Generation>> generations, ServingMetrics& metrics,
                 const Clock& clock, SteadyTime asked)
    : metrics_(metrics), clock_(clock), asked_(asked), tasks_([this](kj::Exception&& exception) {
        Refusal failure{RefusalCode::INTERNAL, exception.getDescription().cStr()};
        for (auto& answer : answers_) {
          if (!answer.ended) take(answer, {.failure = failure});
        }
      }) {
  for (auto& generation : generations) answers_.push_back({.generation = kj::mv(generation)});
  for (uint32_t i = 0; i < answers_.size(); ++i) tasks_.add(follow(i));
}

kj::Promise<void> Answers::follow(uint32_t index) {
  return answers_[index].generation->next().then(
      [this, index](GenerationPiece piece) -> kj::Promise<void> {
        bool last = piece.isLast();
        take(answers_[index], std::move(piece));
        if (last) return kj::READY_NOW;
        return follow(index);
      });
}

void Answers::take(Answer& answer, GenerationPiece piece) {
  measure(answer, piece.tokens.size());
  answer.ended = piece.isLast();
  if (answer.isFresh) {
    answer.fresh.merge(std::move(piece));
  } else {
    answer.fresh = std::move(piece);
  }
  answer.isFresh = true;
  if (allEnded()) metrics_.onAnswered(clock_.steadyNow() - asked_);
  KJ_IF_MAYBE (waker, waker_) {
    (*waker)->fulfill();
    waker_ = nullptr;
  }
}

void Answers::measure(Answer& answer, size_t tokens) {
  if (tokens == 0) return;
  SteadyTime now = clock_.steadyNow();
  size_t later = tokens;
  if (!answer.hasToken) {
    metrics_.onFirstToken(now - asked_);
    --later;
  }
  if (later > 0) metrics_.onTokens(later, now - (answer.hasToken ? answer.lastToken : now));
  answer.hasToken = true;
  answer.lastToken = now;
}

kj::Promise<std::vector<NewPiece>> Answers::next() {
  auto fresh = takeFresh();
  if (!fresh.empty() || allEnded()) return fresh;
  auto paf = kj::newPromiseAndFulfiller<void>();
  waker_ = kj::mv(paf.fulfiller);
  return paf.promise.then([this] { return next(); });
}

std::vector<NewPiece> Answers::takeFresh() {
  std::vector<NewPiece> fresh;
  for (uint32_t i = 0; i < answers_.size(); ++i) {
    if (!answers_[i].isFresh) continue;
    answers_[i].isFresh = false;
    fresh.push_back({i, std::exchange(answers_[i].fresh, {})});
  }
  return fresh;
}

bool Answers::allEnded() const {
  return std::all_of(answers_.begin(), answers_.end(),
                     [](const Answer& answer) { return answer.ended; });
}

}  // namespace muster::worker
