// The beginning of a safetensors file: it is refused, or its tensors fill the file without overlap.
#include "sharding/safetensors.h"
#include "tests/fuzz/fuzz.h"

#include <algorithm>
#include <vector>

namespace muster::sharding {
namespace {

void checkTensors(const std::vector<TensorInfo>& tensors, uint64_t begin, uint64_t end) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto& tensor : tensors) ranges.emplace_back(tensor.offset, tensor.bytes);
  std::sort(ranges.begin(), ranges.end());
  for (const auto& [offset, bytes] : ranges) {
    fuzz::check(offset == begin, "a tensor starts where the one before it ends");
    fuzz::check(bytes <= end - begin, "a tensor lies in the file");
    begin += bytes;
  }
  fuzz::check(begin == end, "every byte belongs to a tensor");
}

// The first byte says how much of the file comes after what is given.
void readHeader(std::string_view input) {
  if (input.empty()) return;
  uint64_t behind = static_cast<uint8_t>(input.front());
  std::string_view head = input.substr(1);
  uint64_t fileBytes = head.size() + behind;
  auto end = safetensorsHeaderEnd("a.safetensors", head.substr(0, 8), fileBytes);
  if (!end) return fuzz::checkRefusal(end.refusal());
  auto header = parseSafetensors("a.safetensors", head, fileBytes);
  if (!header) return fuzz::checkRefusal(header.refusal());
  checkTensors(header->tensors, *end, fileBytes);
}

}  // namespace
}  // namespace muster::sharding

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::sharding::readHeader(muster::fuzz::textOf(data, size));
  return 0;
}
