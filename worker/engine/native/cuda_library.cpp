#include "worker/engine/native/cuda_library.h"

#include <dlfcn.h>
#include <kj/debug.h>

#include <filesystem>

namespace muster::worker {
namespace {

constexpr const char* FILE_NAME = "libmuster_cuda.so";
constexpr const char* SYMBOL = "musterCudaPlugin";

std::string folderOfThisProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

std::string loaderText() {
  const char* text = dlerror();
  return text == nullptr ? "unknown cause" : text;
}

}  // namespace

std::vector<std::string> gpuLibraryPlaces(const std::string& folder) {
  const std::filesystem::path programs(folder);
  return {(programs / FILE_NAME).string(),
          (programs.parent_path() / "lib" / "muster" / FILE_NAME).string()};
}

Result<std::string> findGpuLibrary(const std::vector<std::string>& places) {
  std::string looked;
  for (const std::string& place : places) {
    std::error_code error;
    if (std::filesystem::exists(place, error)) return place;
    looked += (looked.empty() ? "" : " and no ") + place;
  }
  return Refusal{.code = RefusalCode::NOT_FOUND, .text = "there is no " + looked};
}

void CudaLibrary::Close::operator()(void* handle) const { dlclose(handle); }

Result<std::shared_ptr<const CudaLibrary>> CudaLibrary::load(const std::string& path) {
  auto found =
      findGpuLibrary(path.empty() ? gpuLibraryPlaces(folderOfThisProgram()) : std::vector{path});
  if (!found) return found.refusal();
  const std::string& file = *found;
  auto library = std::make_shared<CudaLibrary>();
  library->handle_.reset(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));
  void* symbol = library->handle_ == nullptr ? nullptr : dlsym(library->handle_.get(), SYMBOL);
  if (symbol == nullptr) {
    return Refusal{.code = RefusalCode::NOT_SUPPORTED_YET,
                   .text = file + " cannot be loaded: " + loaderText()};
  }
  library->plugin_ = reinterpret_cast<decltype(&musterCudaPlugin)>(symbol)();
  if (library->plugin_->abi != MUSTER_CUDA_ABI) {
    return Refusal{.code = RefusalCode::NOT_SUPPORTED_YET,
                   .text = file + " has version " + std::to_string(library->plugin_->abi) +
                           " of the boundary, wanted " + std::to_string(MUSTER_CUDA_ABI)};
  }
  return std::shared_ptr<const CudaLibrary>(std::move(library));
}

void CudaLibrary::check(bool succeeded, const char* what) const {
  KJ_REQUIRE(succeeded, what, plugin_->lastError());
}

std::vector<CudaGpu> CudaLibrary::gpus() const {
  std::vector<CudaGpu> found;
  for (uint32_t index = 0; index < plugin_->deviceCount(); ++index) {
    MusterCudaDeviceInfo info;
    check(plugin_->describe(index, &info), "a GPU cannot be described");
    found.push_back({.index = index,
                     .name = info.name,
                     .uuid = info.uuid,
                     .busId = info.busId,
                     .totalBytes = info.totalBytes,
                     .freeBytes = info.freeBytes});
  }
  return found;
}

}  // namespace muster::worker
