#include "worker/gpu/nvml_library.h"

#include <dlfcn.h>

namespace muster::worker {
namespace {

template <class Function>
bool bind(void* library, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, symbol));
  return function != nullptr;
}

}  // namespace

void NvmlLibrary::Close::operator()(void* handle) const { dlclose(handle); }

NvmlLibrary::~NvmlLibrary() {
  if (initialised_) shutdown();
}

Result<std::unique_ptr<NvmlLibrary>> NvmlLibrary::load(const std::string& file) {
  auto library = std::make_unique<NvmlLibrary>();
  library->handle_.reset(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library->handle_ == nullptr) {
    const char* why = dlerror();
    return Refusal{RefusalCode::NOT_FOUND, "NVIDIA's driver library cannot be loaded: " +
                                               std::string(why == nullptr ? file : why)};
  }
  auto found = library->find();
  if (!found) return found.refusal();
  int begun = library->init();
  if (begun != NVML_DONE) {
    return Refusal{RefusalCode::NOT_FOUND,
                   "NVIDIA's driver cannot be asked: " + library->text(begun)};
  }
  library->initialised_ = true;
  return library;
}

Result<Done> NvmlLibrary::find() {
  void* from = handle_.get();
  const char* missing = nullptr;
  auto need = [&](const char* symbol, auto*& function) {
    if (!bind(from, symbol, function) && missing == nullptr) missing = symbol;
  };
  need("nvmlInit_v2", init);
  need("nvmlShutdown", shutdown);
  need("nvmlErrorString", errorString);
  need("nvmlSystemGetDriverVersion", driverVersion);
  need("nvmlDeviceGetCount_v2", deviceCount);
  need("nvmlDeviceGetHandleByIndex_v2", handleByIndex);
  need("nvmlDeviceGetName", name);
  need("nvmlDeviceGetUUID", uuid);
  need("nvmlDeviceGetPciInfo_v3", pci);
  need("nvmlDeviceGetMemoryInfo_v2", memory);
  need("nvmlDeviceGetP2PStatus", p2pStatus);
  need("nvmlEventSetCreate", eventSetCreate);
  need("nvmlDeviceRegisterEvents", registerEvents);
  need("nvmlEventSetWait_v2", eventSetWait);
  need("nvmlEventSetFree", eventSetFree);
  bind(from, "nvmlDeviceGetMigMode", migMode);
  bind(from, "nvmlDeviceGetRetiredPagesPendingStatus", retiredPagesPending);
  bind(from, "nvmlDeviceGetRemappedRows", remappedRows);
  if (missing == nullptr) return Done{};
  return Refusal{RefusalCode::NOT_SUPPORTED_YET, std::string("NVIDIA's driver library lacks ") +
                                                     missing +
                                                     "; a driver of version 510 or newer has it"};
}

}  // namespace muster::worker
