#include "worker/engine/native/batch.h"

namespace muster::worker {
namespace {

void addWanted(const StepSequence& sequence, uint32_t firstRow, std::vector<uint32_t>& wanted) {
  auto count = static_cast<uint32_t>(sequence.tokens.size());
  switch (sequence.wanted) {
    case WantedLogits::NONE:
      return;
    case WantedLogits::LAST:
      wanted.push_back(firstRow + count - 1);
      return;
    case WantedLogits::ALL:
      for (uint32_t i = 0; i < count; ++i) wanted.push_back(firstRow + i);
      return;
  }
}

}  // namespace

Batch layOut(const std::vector<StepSequence>& sequences, const RopeTable& rope) {
  Batch batch;
  for (const auto& sequence : sequences) {
    BatchRun run{.firstRow = batch.rows(),
                 .rows = static_cast<uint32_t>(sequence.tokens.size()),
                 .firstPosition = sequence.firstPosition,
                 .blocks = sequence.blocks};
    batch.tokens.insert(batch.tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
    for (uint32_t i = 0; i < run.rows; ++i) {
      rope.append(sequence.firstPosition + i, batch.rotations);
    }
    addWanted(sequence, run.firstRow, batch.wanted);
    batch.runs.push_back(std::move(run));
  }
  return batch;
}

uint32_t wantedRows(const std::vector<StepSequence>& sequences) {
  uint32_t rows = 0;
  for (const auto& sequence : sequences) {
    if (sequence.wanted == WantedLogits::LAST) ++rows;
    if (sequence.wanted == WantedLogits::ALL) rows += static_cast<uint32_t>(sequence.tokens.size());
  }
  return rows;
}

}  // namespace muster::worker
