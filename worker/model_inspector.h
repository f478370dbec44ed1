// Reads what a model says about itself: config.json and the safetensors headers, never the weights,
// never a pickle.
#pragma once

#include "base/result.h"
#include "protocol/model.h"
#include "worker/model_roots.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace muster::worker {

// The manifest of a model below the roots. Blocks on the file system: call it on a thread of its
// own.
//
// Refuses what ModelRoots refuses; MODEL_CONFIG_INVALID when config.json is missing or too large;
// MODEL_FORMAT_REFUSED when there are weights of other formats only; MODEL_FILE_CORRUPT for bad
// headers; and whatever the architecture's check (sharding::readModelSpec) refuses, so that a model
// that cannot be planned is refused before it is logged.
Result<ModelManifest> inspectModel(const ModelRoots& roots, const std::string& source,
                                   const NodeName& inspector);

// The safetensors header of an open file: prefix and JSON, read by positional reads.
Result<std::string> readSafetensorsHead(const OpenedPath& file);

// All of an open file. Refuses MODEL_CONFIG_INVALID when it has more than `bytesMax` bytes,
// MODEL_FILE_CORRUPT when it cannot be read.
Result<std::string> readWhole(const OpenedPath& file, uint64_t bytesMax);

// XXH3-128 of bytes as 32 lower-case hex digits.
std::string digestOf(std::string_view bytes);

}  // namespace muster::worker
