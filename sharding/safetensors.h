// Reads what safetensors files say about themselves: the header of each file and the index over
// several.
//
// A file is: 8 bytes, the length N of the header (little endian); N bytes of JSON; the tensors'
// bytes, packed without holes. Nothing here opens a file: callers hand in the bytes and the file's
// size.
#pragma once

#include "base/result.h"
#include "protocol/model.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sharding {

inline constexpr uint64_t SAFETENSORS_PREFIX_BYTES = 8;  // the length before the header
inline constexpr uint64_t SAFETENSORS_HEADER_BYTES_MAX = 100'000'000;  // the format's own limit
inline constexpr uint64_t SAFETENSORS_INDEX_BYTES_MAX = 64'000'000;

// How many bytes from the start of the file hold prefix and header together, so that a caller reads
// no more.
//
// `file`: name for error texts. `prefix`: the first 8 bytes of the file, fewer if it is shorter.
// Refuses MODEL_FILE_CORRUPT when the file is truncated or the header is larger than the format
// allows.
Result<uint64_t> safetensorsHeaderEnd(const std::string& file, std::string_view prefix,
                                      uint64_t fileBytes);

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // sorted by name; offsets absolute in the file
  std::map<std::string, std::string> metadata;
  bool operator==(const SafetensorsHeader&) const = default;
};

// The tensors of one file.
//
// `head`: the file's bytes from 0 to safetensorsHeaderEnd(); more does no harm. `fileBytes`: size
// of the whole file. Refuses MODEL_FILE_CORRUPT, naming file, tensor and values, for: a truncated
// or oversized header, broken JSON, unknown or missing fields, an unknown dtype, bytes that differ
// from shape × dtype, two tensors of one name, tensors that overlap or leave holes, and bytes of
// the file that belong to no tensor or lie beyond its end. Memory is proportional to the number of
// tensors, whatever the JSON holds.
Result<SafetensorsHeader> parseSafetensors(const std::string& file, std::string_view head,
                                           uint64_t fileBytes);

// Which file holds which tensor, from model.safetensors.index.json.
struct ModelIndex {
  std::map<std::string, std::string> fileOfTensor;
  bool operator==(const ModelIndex&) const = default;

  std::vector<std::string> files() const;  // each once, sorted
};

// Parses model.safetensors.index.json.
//
// Refuses MODEL_CONFIG_INVALID for broken JSON, MODEL_OUTSIDE_ROOTS for a file name that is a path,
// and MODEL_FORMAT_REFUSED for a file that is not .safetensors (a pickle is never opened).
Result<ModelIndex> parseIndex(std::string_view json);

// Refuses MODEL_FILE_CORRUPT, by name, every file of the index that is not among `present`.
Result<Done> checkIndexFiles(const ModelIndex& index, const std::vector<std::string>& present);

// All tensors of a model from the headers of its files, sorted by name.
//
// `index`: null for a model of one file without index.
// Refuses MODEL_FILE_CORRUPT when two files hold a tensor of one name, or the index and the headers
// disagree.
Result<std::vector<TensorInfo>> gatherTensors(const std::vector<SafetensorsHeader>& headers,
                                              const ModelIndex* index);

}  // namespace muster::sharding
