#include "worker/gpu/gpu_devices.h"

#include "worker/gpu/nvml.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <set>

namespace muster::worker {
namespace {

const std::set<std::string> BRANDS = {"NVIDIA", "Tesla", "GeForce", "Quadro"};
const std::set<std::string> SUFFIXES = {"Ti", "SUPER"};

std::vector<std::string> wordsOf(const std::string& text) {
  std::vector<std::string> words(1);
  for (char c : text) {
    if (c == ' ' || c == '-') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  std::erase_if(words,
                [](const std::string& word) { return word.empty() || BRANDS.contains(word); });
  return words;
}

bool hasDigit(const std::string& word) {
  return std::ranges::any_of(word, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// Each GPU's island: the lowest index that it reaches.
std::vector<uint32_t> islandsOf(const GpuInventory& inventory) {
  std::vector<uint32_t> islands(inventory.gpus.size());
  std::iota(islands.begin(), islands.end(), 0u);
  for (const FoundGpu& gpu : inventory.gpus) {
    for (DeviceIndex other : gpu.linked) {
      uint32_t mine = islands[gpu.index.value];
      uint32_t theirs = islands[other.value];
      std::ranges::replace(islands, std::max(mine, theirs), std::min(mine, theirs));
    }
  }
  return islands;
}

Refusal noDevices(const std::string& why) {
  std::string message = "no device is declared and no GPU found, so no rank could run here: " + why;
  InputError error{.code = RefusalCode::INVALID_VALUE,
                   .path = "devices",
                   .message = message,
                   .hint =
                       "add [[devices]] with type = \"cpu\" and memory = \"4GiB\", or see to "
                       "the driver until nvidia-smi shows the GPUs"};
  return {.code = RefusalCode::INVALID_VALUE, .text = message, .errors = {error}};
}

}  // namespace

std::string gpuTypeOf(const std::string& product) {
  std::string type;
  for (const std::string& word : wordsOf(product)) {
    bool isNamed = hasDigit(type);
    if (isNamed && !SUFFIXES.contains(word)) break;
    type += word;
  }
  return type.empty() ? "unknown" : type;
}

std::vector<DeviceInfo> devicesOf(const GpuInventory& inventory) {
  std::vector<uint32_t> islands = islandsOf(inventory);
  std::vector<DeviceInfo> devices;
  for (const FoundGpu& gpu : inventory.gpus) {
    devices.push_back({.index = gpu.index,
                       .type = gpuTypeOf(gpu.product),
                       .uuid = gpu.uuid,
                       .memory = gpu.memory,
                       .island = islands[gpu.index.value],
                       .unhealthy = gpu.trouble,
                       .product = gpu.product,
                       .busId = gpu.busId,
                       .numaNode = gpu.numaNode});
  }
  return devices;
}

Result<std::shared_ptr<GpuDriver>> findDevices(NodeInfo& node) {
  if (!node.devices.empty()) return std::shared_ptr<GpuDriver>();
  auto driver = openNvml();
  if (!driver) return noDevices(driver.refusal().text);
  GpuInventory inventory = (*driver)->inventory();
  if (inventory.gpus.empty()) return noDevices("the driver shows none");
  node.devices = devicesOf(inventory);
  node.driver = inventory.driver;
  return driver;
}

}  // namespace muster::worker
