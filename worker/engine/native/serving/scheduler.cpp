#include "worker/engine/native/serving/scheduler.h"

#include <kj/debug.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace muster::worker {

Scheduler::Scheduler(KvCacheShape cache, uint32_t positions, SchedulerLimits limits)
    : blockTokens_(cache.blockTokens), limits_(limits), pool_(cache.blocks) {
  KJ_REQUIRE(cache.blockTokens > 0 && cache.blocks > 0, cache.blocks, cache.blockTokens);
  KJ_REQUIRE(limits.running > 0 && limits.stepTokens >= limits.running, limits.running,
             limits.stepTokens);
  uint64_t cached = uint64_t{cache.blocks} * cache.blockTokens;
  longest_ = static_cast<uint32_t>(std::min<uint64_t>(positions, cached));
}

Result<SequenceNumber> Scheduler::add(std::vector<TokenId> prompt, uint32_t tokensMax) {
  KJ_REQUIRE(!prompt.empty() && tokensMax > 0, prompt.size(), tokensMax);
  if (prompt.size() + tokensMax > longest_) {
    return Refusal{RefusalCode::TOO_LARGE, "a prompt of " + std::to_string(prompt.size()) +
                                               " tokens and " + std::to_string(tokensMax) +
                                               " more exceed the " + std::to_string(longest_) +
                                               " tokens that fit"};
  }
  if (waiting_.size() >= limits_.waiting) {
    return Refusal{RefusalCode::OVERLOADED,
                   std::to_string(waiting_.size()) + " requests are waiting already"};
  }
  waiting_[++lastNumber_].tokens = std::move(prompt);
  return lastNumber_;
}

// Only whom the whole prompt has room for: half a prompt in the cache is of no use to anybody. Who
// waits is younger than all who run, so the first in line passes nobody.
void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < limits_.running) {
    auto first = waiting_.begin();
    if (blocksFor(first->second.tokens.size() + 1) > pool_.free()) return;
    // Reserved at once, so that the next in line sees what is really free.
    while (first->second.blocks.size() < blocksFor(first->second.tokens.size())) {
      first->second.blocks.push_back(pool_.take());
    }
    running_.insert(waiting_.extract(first));
  }
}

std::optional<PlannedStep> Scheduler::next() {
  admit();
  PlannedStep planned;
  uint32_t budget = limits_.stepTokens;
  // Each running sequence has one token of the budget for certain, so that no prompt holds up the
  // answers under way.
  auto promised = static_cast<uint32_t>(running_.size());
  for (auto sequence = running_.begin(); sequence != running_.end();) {
    --promised;
    uint32_t tokens = std::min(sequence->second.left(), budget - promised);
    uint32_t until = sequence->second.computed + tokens;
    size_t before = running_.size();
    if (!reserve(sequence, until)) break;  // it was the youngest, and is preempted itself
    promised -= static_cast<uint32_t>(before - running_.size());
    plan(sequence, tokens, planned);
    budget -= tokens;
    ++sequence;
  }
  if (planned.step.sequences.empty()) return std::nullopt;
  planned.step.number = ++lastStep_;
  return planned;
}

// Blocks for so many positions, taken from younger sequences if need be. False when there are none
// and the sequence itself had to give way.
bool Scheduler::reserve(Sequences::iterator sequence, uint32_t positions) {
  SequenceNumber number = sequence->first;
  while (sequence->second.blocks.size() < blocksFor(positions)) {
    if (pool_.free() > 0) {
      sequence->second.blocks.push_back(pool_.take());
      continue;
    }
    bool isYoungest = std::next(sequence) == running_.end();
    preemptYoungest();
    if (isYoungest) return false;
  }
  KJ_ASSERT(sequence->first == number);
  return true;
}

void Scheduler::preemptYoungest() {
  auto victim = std::prev(running_.end());
  KJ_ASSERT(running_.size() > 1, "a sequence alone does not fit, though it was admitted");
  pool_.giveBack(victim->second.blocks);
  victim->second.computed = 0;
  waiting_.insert(running_.extract(victim));
  ++preemptions_;
}

void Scheduler::plan(Sequences::iterator sequence, uint32_t tokens, PlannedStep& planned) {
  auto& [number, state] = *sequence;
  KJ_ASSERT(tokens > 0, "a sequence is planned twice without a token between", number);
  auto first = state.tokens.begin() + state.computed;
  bool isLast = tokens == state.left();
  planned.step.sequences.push_back(
      {.tokens = {first, first + tokens},
       .firstPosition = state.computed,
       .blocks = {state.blocks.begin(), state.blocks.begin() + blocksFor(state.computed + tokens)},
       .wanted = isLast ? WantedLogits::LAST : WantedLogits::NONE});
  state.computed += tokens;
  if (isLast) planned.rows.push_back(number);
}

void Scheduler::append(SequenceNumber sequence, TokenId token) {
  auto found = running_.find(sequence);
  KJ_REQUIRE(found != running_.end() && found->second.left() == 0, "no token is awaited", sequence);
  found->second.tokens.push_back(token);
}

void Scheduler::remove(SequenceNumber sequence) {
  waiting_.erase(sequence);
  auto found = running_.find(sequence);
  if (found == running_.end()) return;
  pool_.giveBack(found->second.blocks);
  running_.erase(found);
}

uint32_t Scheduler::blocksFor(uint64_t positions) const {
  return static_cast<uint32_t>((positions + blockTokens_ - 1) / blockTokens_);
}

}  // namespace muster::worker
