#include "worker/engine/native/weight_load.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

namespace muster::worker {
namespace {

constexpr uint64_t ALIGNMENT = 64;
constexpr uint64_t HUGE_PAGE = 2 << 20;

}  // namespace

AlignedBytes::AlignedBytes(uint64_t size) : size_(size) {
  uint64_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
  uint64_t rounded = std::max(alignment, (size + alignment - 1) / alignment * alignment);
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
  KJ_REQUIRE(data_ != nullptr, "out of memory for a slice", size);
  // A hint: 512 times fewer page faults while it is filled.
  if (alignment == HUGE_PAGE) ::madvise(data_.get(), rounded, MADV_HUGEPAGE);
}

void AlignedBytes::Free::operator()(std::byte* memory) const { std::free(memory); }

std::string checksumText(uint64_t checksum) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(checksum));
  return text;
}

}  // namespace muster::worker
