#include "worker/gpu/gpu_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::worker::gpu_devices_test {
namespace {

TEST(GpuDevices, typesAreTheWordsThatDeploymentsUse) {
  const std::pair<const char*, const char*> cases[] = {
      {"NVIDIA H100 80GB HBM3", "H100"},
      {"NVIDIA H100 NVL", "H100"},
      {"NVIDIA H200", "H200"},
      {"NVIDIA A100-SXM4-40GB", "A100"},
      {"NVIDIA A100 80GB PCIe", "A100"},
      {"NVIDIA L40S", "L40S"},
      {"NVIDIA GH200 480GB", "GH200"},
      {"Tesla V100-SXM2-16GB", "V100"},
      {"Tesla T4", "T4"},
      {"NVIDIA GeForce RTX 4090", "RTX4090"},
      {"NVIDIA GeForce RTX 3080 Ti", "RTX3080Ti"},
      {"NVIDIA RTX A6000", "RTXA6000"},
      {"NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTXPRO6000"},
      {"", "unknown"},
  };
  for (const auto& [product, type] : cases) EXPECT_EQ(gpuTypeOf(product), type) << product;
}

GpuInventory machine(std::vector<std::vector<DeviceIndex>> links) {
  GpuInventory inventory;
  for (const auto& linked : links) {
    FoundGpu gpu;
    gpu.index = {static_cast<uint32_t>(inventory.gpus.size())};
    gpu.linked = linked;
    inventory.gpus.push_back(std::move(gpu));
  }
  return inventory;
}

std::vector<uint32_t> islands(const GpuInventory& inventory) {
  std::vector<uint32_t> found;
  for (const auto& device : devicesOf(inventory)) found.push_back(device.island);
  return found;
}

TEST(GpuDevices, islandsAreWhatNvlinkJoins) {
  using testing::ElementsAre;
  EXPECT_THAT(islands(machine({{}, {}, {}})), ElementsAre(0, 1, 2));
  EXPECT_THAT(islands(machine({{{1}}, {{0}}, {{3}}, {{2}}})), ElementsAre(0, 0, 2, 2));
  // Over a third one, whatever the order in which the links are told.
  EXPECT_THAT(islands(machine({{{3}}, {{2}}, {{1}, {3}}, {{0}, {2}}})), ElementsAre(0, 0, 0, 0));
}

TEST(GpuDevices, declaredDevicesWin) {
  NodeInfo node;
  node.devices = {{{0}, "cpu", "w1-cpu-0", 4_GiB, 0}};
  NodeInfo before = node;
  auto driver = findDevices(node);
  ASSERT_TRUE(driver.ok());
  EXPECT_EQ(*driver, nullptr);
  EXPECT_EQ(node, before);
}

}  // namespace
}  // namespace muster::worker::gpu_devices_test
