#include "worker/gpu/nvml.h"

#include "base/files.h"
#include "worker/gpu/nvml_library.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

namespace muster::worker {
namespace {

// What programs on a GPU bring about themselves, or the driver has mended: NVIDIA's XID catalogue.
const std::set<unsigned long long> HARMLESS_XIDS = {13, 31, 43, 45, 63, 68, 94, 109};

// Answers that say nothing about the GPU's health.
bool isUnknown(int result) {
  return result == NVML_NOT_SUPPORTED || result == NVML_NO_PERMISSION ||
         result == NVML_FUNCTION_NOT_FOUND;
}

class Nvml final : public GpuDriver {
 public:
  Nvml(std::unique_ptr<NvmlLibrary> library, std::string sysfs)
      : library_(std::move(library)), sysfs_(std::move(sysfs)) {
    if (library_->eventSetCreate(&events_) != NVML_DONE) events_ = nullptr;
    unsigned count = 0;
    if (library_->deviceCount(&count) == NVML_DONE) handles_.resize(count);
  }
  ~Nvml() noexcept(false) override {
    if (events_ != nullptr) library_->eventSetFree(events_);
  }
  KJ_DISALLOW_COPY(Nvml);

  GpuInventory inventory() override {
    GpuInventory found{.driver = textOf(library_->driverVersion), .gpus = {}};
    for (uint32_t i = 0; i < handles_.size(); ++i) found.gpus.push_back(describe(i));
    for (FoundGpu& gpu : found.gpus) gpu.linked = linkedTo(gpu.index.value);
    for (const auto& [index, trouble] : troubles()) found.gpus[index.value].trouble = trouble;
    return found;
  }

  std::map<DeviceIndex, std::string> troubles() override {
    takeEvents();
    std::map<DeviceIndex, std::string> found;
    for (uint32_t i = 0; i < handles_.size(); ++i) {
      std::string trouble = troubleOf(i);
      if (!trouble.empty()) found[{i}] = std::move(trouble);
    }
    return found;
  }

 private:
  // The handle, kept once it is had: an index names another GPU when one before it falls off.
  int handleOf(uint32_t index, NvmlDevice& handle) {
    handle = handles_[index];
    if (handle != nullptr) return NVML_DONE;
    int result = library_->handleByIndex(index, &handle);
    if (result != NVML_DONE) return result;
    handles_[index] = handle;
    if (events_ != nullptr) library_->registerEvents(handle, NVML_EVENT_XID, events_);
    return NVML_DONE;
  }

  template <class Ask, class... Before>
  static std::string textOf(Ask ask, Before... before) {
    std::array<char, 128> text{};
    if (ask(before..., text.data(), text.size()) != NVML_DONE) return "";
    text.back() = '\0';
    return text.data();
  }

  FoundGpu describe(uint32_t index) {
    FoundGpu gpu;
    gpu.index = {index};
    NvmlDevice device = nullptr;
    if (handleOf(index, device) != NVML_DONE) return gpu;
    gpu.product = textOf(library_->name, device);
    gpu.uuid = textOf(library_->uuid, device);
    NvmlMemory memory;
    if (library_->memory(device, &memory) == NVML_DONE) {
      gpu.memory = {memory.total - std::min(memory.total, memory.reserved)};
    }
    NvmlPci pci{};
    if (library_->pci(device, &pci) == NVML_DONE) {
      gpu.busId = busIdOf(pci);
      gpu.numaNode = numaNodeAt(gpu.busId);
    }
    return gpu;
  }

  static std::string busIdOf(const NvmlPci& pci) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%04x:%02x:%02x.0", pci.domain, pci.bus, pci.device);
    return text.data();
  }

  // The kernel says -1 where the machine has no such thing.
  std::optional<uint32_t> numaNodeAt(const std::string& busId) const {
    auto text = readFile(sysfs_ + "/bus/pci/devices/" + busId + "/numa_node", 4_KiB);
    if (!text || text->empty() || text->front() < '0' || text->front() > '9') return std::nullopt;
    return static_cast<uint32_t>(std::strtoul(text->c_str(), nullptr, 10));
  }

  std::vector<DeviceIndex> linkedTo(uint32_t index) const {
    std::vector<DeviceIndex> linked;
    for (uint32_t other = 0; other < handles_.size(); ++other) {
      if (other == index || handles_[index] == nullptr || handles_[other] == nullptr) continue;
      int status = -1;
      int asked = library_->p2pStatus(handles_[index], handles_[other], NVML_P2P_NVLINK, &status);
      if (asked == NVML_DONE && status == 0) linked.push_back({other});
    }
    return linked;
  }

  // Errors that the driver has reported since the last look.
  void takeEvents() {
    NvmlEvent event{};
    while (events_ != nullptr && library_->eventSetWait(events_, &event, 0) == NVML_DONE) {
      bool isFault = event.type == NVML_EVENT_XID && !HARMLESS_XIDS.contains(event.data);
      if (isFault) xids_.emplace(event.device, event.data);  // the first is the cause
    }
  }

  std::string troubleOf(uint32_t index) {
    NvmlDevice device = nullptr;
    int had = handleOf(index, device);
    if (had != NVML_DONE) return "the driver cannot reach it: " + library_->text(had);
    NvmlMemory memory;
    int probed = library_->memory(device, &memory);
    if (probed != NVML_DONE) return "the driver cannot ask it: " + library_->text(probed);
    if (auto xid = xids_.find(device); xid != xids_.end()) {
      return "XID " + std::to_string(xid->second) + "; restart muster-worker once it is repaired";
    }
    if (auto damage = memoryDamage(device); !damage.empty()) return damage;
    return isSplit(device) ? "MIG mode is on, and Muster places on whole GPUs: nvidia-smi -i " +
                                 std::to_string(index) + " -mig 0"
                           : "";
  }

  std::string memoryDamage(NvmlDevice device) const {
    unsigned correctable = 0;
    unsigned uncorrectable = 0;
    unsigned pending = 0;
    unsigned failed = 0;
    int asked =
        library_->remappedRows == nullptr
            ? NVML_NOT_SUPPORTED
            : library_->remappedRows(device, &correctable, &uncorrectable, &pending, &failed);
    if (asked == NVML_DONE && failed != 0) return "a memory row could not be remapped: replace it";
    if (asked == NVML_DONE && pending != 0) return "a memory row waits for a reset to be remapped";
    int retiring = 0;
    asked = library_->retiredPagesPending == nullptr
                ? NVML_NOT_SUPPORTED
                : library_->retiredPagesPending(device, &retiring);
    if (asked == NVML_DONE && retiring != 0) return "a memory page waits for a reset to be retired";
    return isUnknown(asked) || asked == NVML_DONE
               ? ""
               : "the driver cannot ask its memory: " + library_->text(asked);
  }

  bool isSplit(NvmlDevice device) const {
    unsigned current = 0;
    unsigned pending = 0;
    return library_->migMode != nullptr &&
           library_->migMode(device, &current, &pending) == NVML_DONE && current != 0;
  }

  std::unique_ptr<NvmlLibrary> library_;
  std::string sysfs_;
  NvmlEventSet events_ = nullptr;
  std::vector<NvmlDevice> handles_;  // by index; null: not had yet
  std::map<NvmlDevice, unsigned long long> xids_;
};

}  // namespace

Result<std::shared_ptr<GpuDriver>> openNvml(const std::string& file, const std::string& sysfs) {
  auto library = NvmlLibrary::load(file);
  if (!library) return library.refusal();
  return std::shared_ptr<GpuDriver>(std::make_shared<Nvml>(std::move(*library), sysfs));
}

}  // namespace muster::worker
