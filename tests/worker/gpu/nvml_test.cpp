// Our declarations against a library of ours that has NVML's entry points.
#include "worker/gpu/nvml.h"

#include "tests/base/temporary_folder.h"
#include "worker/gpu/gpu_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace muster::worker::nvml_test {
namespace {

using testing::HasSubstr;

std::string standIn() {
  auto program = std::filesystem::read_symlink("/proc/self/exe");
  return (program.parent_path() / "stand_in/libnvidia-ml.so.1").string();
}

class NvmlTest : public testing::Test {
 protected:
  NvmlTest() { setenv("MUSTER_STAND_IN_GPUS", file().c_str(), 1); }
  ~NvmlTest() noexcept override { unsetenv("MUSTER_STAND_IN_GPUS"); }

  std::string file() const { return folder_.path() + "/gpus"; }
  // Two H100 on one NVLink and an L40S of its own, each with these words more.
  void describe(const std::string& first, const std::string& second = "",
                const std::string& third = "") {
    std::ofstream(file()) << "driver=550.54.15\n"
                          << "name=NVIDIA_H100_80GB_HBM3 uuid=GPU-a memory=85520809984 bus=27 "
                             "links=1 reserved=1048576 "
                          << first << "\n"
                          << "name=NVIDIA_H100_80GB_HBM3 uuid=GPU-b memory=85520809984 bus=42 "
                             "links=0 "
                          << second << "\n"
                          << "name=NVIDIA_L40S uuid=GPU-c memory=48305799168 bus=97 " << third
                          << "\n";
  }
  std::shared_ptr<GpuDriver> open() {
    auto driver = openNvml(standIn(), folder_.path());
    EXPECT_TRUE(driver.ok());
    return *driver;
  }

  TemporaryFolder folder_;
};

TEST_F(NvmlTest, tellsWhatTheMachineHas) {
  describe("");
  std::filesystem::create_directories(folder_.path() + "/bus/pci/devices/0000:1b:00.0");
  std::ofstream(folder_.path() + "/bus/pci/devices/0000:1b:00.0/numa_node") << "1\n";
  auto found = open()->inventory();
  EXPECT_EQ(found.driver, "550.54.15");
  ASSERT_EQ(found.gpus.size(), 3u);
  FoundGpu first{.index = {0},
                 .product = "NVIDIA H100 80GB HBM3",
                 .uuid = "GPU-a",
                 .busId = "0000:1b:00.0",
                 .memory = {85520809984 - 1048576},
                 .numaNode = 1,
                 .linked = {{1}},
                 .trouble = ""};
  EXPECT_EQ(found.gpus[0], first);
  EXPECT_EQ(found.gpus[2].numaNode, std::nullopt);
  auto devices = devicesOf(found);
  EXPECT_EQ(devices[1].type, "H100");
  EXPECT_EQ(devices[1].island, devices[0].island);
  EXPECT_EQ(devices[2].type, "L40S");
  EXPECT_NE(devices[2].island, devices[0].island);
}

TEST_F(NvmlTest, saysWhyAGpuMustNotBeUsed) {
  const std::pair<const char*, const char*> cases[] = {
      {"state=lost", "the driver cannot ask it: GPU is lost"},
      {"state=mig", "nvidia-smi -i 0 -mig 0"},
      {"state=remap_failed", "could not be remapped"},
      {"state=remap_pending", "waits for a reset to be remapped"},
      {"state=retiring", "waits for a reset to be retired"},
  };
  for (const auto& [state, why] : cases) {
    SCOPED_TRACE(state);
    describe("");
    auto driver = open();
    EXPECT_TRUE(driver->troubles().empty());
    describe(state);
    auto troubles = driver->troubles();
    ASSERT_EQ(troubles.size(), 1u);
    EXPECT_THAT(troubles[{0}], HasSubstr(why));
    describe("");
    EXPECT_TRUE(driver->troubles().empty());
  }
}

TEST_F(NvmlTest, anErrorThatTheDriverReportsStays) {
  describe("", "xid=79", "xid=13");  // 13 is a program's own fault
  auto driver = open();
  for (int look = 0; look < 2; ++look) {
    auto troubles = driver->troubles();
    ASSERT_EQ(troubles.size(), 1u);
    EXPECT_THAT(troubles[{1}], HasSubstr("XID 79"));
  }
}

TEST_F(NvmlTest, aGpuThatIsLostFromTheBeginningIsStillCounted) {
  describe("", "state=lost");
  auto found = open()->inventory();
  ASSERT_EQ(found.gpus.size(), 3u);
  EXPECT_EQ(devicesOf(found)[1].type, "unknown");
  EXPECT_EQ(found.gpus[1].trouble, "the driver cannot reach it: GPU is lost");
}

TEST_F(NvmlTest, noLibraryAndNoDriverAreNoGpus) {
  auto none = openNvml(folder_.path() + "/libnvidia-ml.so.1");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.refusal().code, RefusalCode::NOT_FOUND);
  auto notLoaded = openNvml(standIn());  // nothing is described
  ASSERT_FALSE(notLoaded.ok());
  EXPECT_EQ(notLoaded.refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_THAT(notLoaded.refusal().text, HasSubstr("Driver Not Loaded"));
}

}  // namespace
}  // namespace muster::worker::nvml_test
