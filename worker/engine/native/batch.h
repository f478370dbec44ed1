// A step as a backend sees it: every token of every sequence is one row.
#pragma once

#include "worker/engine/native/rope.h"
#include "worker/engine/native/step.h"

#include <cstdint>
#include <vector>

namespace muster::worker {

// Neighbouring rows that are consecutive tokens of one sequence.
struct BatchRun {
  uint32_t firstRow = 0;
  uint32_t rows = 0;
  uint32_t firstPosition = 0;
  std::vector<KvBlock> blocks;  // of positions 0 .. firstPosition + rows - 1
};

struct Batch {
  std::vector<uint32_t> tokens;     // shape [rows]
  std::vector<Rotation> rotations;  // shape [rows][headSize / 2]
  std::vector<BatchRun> runs;       // in the order of rows, without gaps
  std::vector<uint32_t> wanted;     // rows whose logits are asked, ascending

  uint32_t rows() const { return static_cast<uint32_t>(tokens.size()); }
};

// Lays the sequences out one after the other.
Batch layOut(const std::vector<StepSequence>& sequences, const RopeTable& rope);

// The step's rows whose logits are wanted.
uint32_t wantedRows(const std::vector<StepSequence>& sequences);

}  // namespace muster::worker
