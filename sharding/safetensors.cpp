#include "sharding/safetensors.h"

#include "sharding/safetensors_json.h"
#include "sharding/text.h"

#include <algorithm>
#include <optional>

namespace muster::sharding {
namespace {

Refusal corrupt(const std::string& file, const std::string& text) {
  return {RefusalCode::MODEL_FILE_CORRUPT, file + ": " + text};
}

Refusal corruptTensor(const std::string& file, const std::string& tensor, const std::string& text) {
  return corrupt(file, "tensor " + inQuotes(tensor) + ": " + text);
}

uint64_t littleEndian64(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = SAFETENSORS_PREFIX_BYTES; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// Elements times element size; nothing when it exceeds 64 bits.
std::optional<uint64_t> byteCount(const std::vector<uint64_t>& shape, Dtype dtype) {
  uint64_t bytes = bytesPerElement(dtype);
  for (uint64_t length : shape) {
    if (__builtin_mul_overflow(bytes, length, &bytes)) return std::nullopt;
  }
  return bytes;
}

// The tensor with absolute offset, if its fields agree with each other and lie within `dataBytes`.
Result<TensorInfo> checkTensor(const std::string& file, const RawTensor& raw, uint64_t dataStart,
                               uint64_t dataBytes) {
  auto wrong = [&](const std::string& text) { return corruptTensor(file, raw.name, text); };
  auto dtype = parseDtype(raw.dtype);
  if (!dtype) return wrong("unknown dtype " + inQuotes(raw.dtype));
  auto place = "data_offsets [" + std::to_string(raw.begin) + ", " + std::to_string(raw.end) + "]";
  if (raw.begin > raw.end) return wrong(place + " end before they begin");
  if (raw.end > dataBytes) {
    return wrong(place + " reach beyond the " + std::to_string(dataBytes) +
                 " bytes of data in the file (truncated?)");
  }
  auto bytes = byteCount(raw.shape, *dtype);
  if (!bytes || *bytes != raw.end - raw.begin) {
    return wrong("shape " + shapeText(raw.shape) + " of " + raw.dtype + " takes " +
                 (bytes ? std::to_string(*bytes) : std::string("more than 2^64")) + " bytes, " +
                 place + " hold " + std::to_string(raw.end - raw.begin));
  }
  return TensorInfo{raw.name, *dtype, raw.shape, file, dataStart + raw.begin, *bytes};
}

// Tensors must lie one after the other, from the first byte of data to the last.
std::optional<Refusal> findGapOrOverlap(const std::string& file, std::vector<TensorInfo> tensors,
                                        uint64_t dataStart, uint64_t fileBytes) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  uint64_t end = dataStart;
  std::string before;
  for (const auto& tensor : tensors) {
    if (tensor.offset < end) {
      return corruptTensor(file, tensor.name,
                           "begins at byte " + std::to_string(tensor.offset) +
                               " and overlaps tensor " + inQuotes(before) + ", which ends at " +
                               std::to_string(end));
    }
    if (tensor.offset > end) {
      return corruptTensor(file, tensor.name,
                           "a hole of " + std::to_string(tensor.offset - end) +
                               " bytes before it, at byte " + std::to_string(end));
    }
    end = tensor.offset + tensor.bytes;
    before = tensor.name;
  }
  if (end < fileBytes) {
    return corrupt(file, std::to_string(fileBytes - end) + " bytes from byte " +
                             std::to_string(end) + " on belong to no tensor");
  }
  return std::nullopt;
}

}  // namespace

Result<uint64_t> safetensorsHeaderEnd(const std::string& file, std::string_view prefix,
                                      uint64_t fileBytes) {
  if (prefix.size() < SAFETENSORS_PREFIX_BYTES || fileBytes < SAFETENSORS_PREFIX_BYTES) {
    return corrupt(file,
                   "truncated: " + std::to_string(std::min<uint64_t>(prefix.size(), fileBytes)) +
                       " bytes, the length of the header alone takes 8");
  }
  uint64_t length = littleEndian64(prefix);
  if (length > SAFETENSORS_HEADER_BYTES_MAX) {
    return corrupt(file, "header of " + std::to_string(length) + " bytes, at most " +
                             std::to_string(SAFETENSORS_HEADER_BYTES_MAX) + " are allowed");
  }
  if (length > fileBytes - SAFETENSORS_PREFIX_BYTES) {
    return corrupt(
        file, "truncated: the header takes " + std::to_string(length) + " bytes, the file has " +
                  std::to_string(fileBytes - SAFETENSORS_PREFIX_BYTES) + " after the length");
  }
  return SAFETENSORS_PREFIX_BYTES + length;
}

Result<SafetensorsHeader> parseSafetensors(const std::string& file, std::string_view head,
                                           uint64_t fileBytes) {
  auto end = safetensorsHeaderEnd(file, head, fileBytes);
  if (!end) return end.refusal();
  if (head.size() < *end) {
    return corrupt(file, "truncated: header ends at byte " + std::to_string(*end) + ", " +
                             std::to_string(head.size()) + " bytes were read");
  }
  auto raw =
      parseHeaderJson(head.substr(SAFETENSORS_PREFIX_BYTES, *end - SAFETENSORS_PREFIX_BYTES));
  if (!raw) return corrupt(file, raw.refusal().text);

  SafetensorsHeader header;
  header.metadata = std::move(raw->metadata);
  for (const auto& rawTensor : raw->tensors) {
    auto tensor = checkTensor(file, rawTensor, *end, fileBytes - *end);
    if (!tensor) return tensor.refusal();
    header.tensors.push_back(std::move(*tensor));
  }
  if (auto refusal = findGapOrOverlap(file, header.tensors, *end, fileBytes)) return *refusal;
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return header;
}

}  // namespace muster::sharding
