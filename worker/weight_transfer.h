// What both ends of a weight port agree on: sizes, and which files beside the weights may be read.
#pragma once

#include "base/units.h"

#include <cstdint>

namespace muster::worker {

inline constexpr uint64_t WEIGHT_PIECE_MAX = 1 << 20;  // bytes of one read
inline constexpr uint32_t WEIGHT_READS_MAX = 4;        // of one reader, on their way at a time
inline constexpr uint32_t WEIGHT_READERS_MAX = 8;      // of one node, at a time

// What rank 0 needs to speak, as readModelText() reads it. A model lacks some of them.
inline constexpr const char* MODEL_TEXTS[] = {"config.json",           "generation_config.json",
                                              "tokenizer.json",        "tokenizer.model",
                                              "tokenizer_config.json", "chat_template.jinja"};
inline constexpr Bytes MODEL_TEXT_MAX = 64_MiB;

}  // namespace muster::worker
