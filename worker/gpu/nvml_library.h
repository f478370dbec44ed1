// The part of NVML that we use, with our own declarations of NVIDIA's documented interface (NVML
// API reference guide): the toolkit that Muster builds with may lack nvml.h.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>

namespace muster::worker {

using NvmlDevice = struct NvmlDeviceHandle*;
using NvmlEventSet = struct NvmlEventSetHandle*;

enum NvmlResult : int {
  NVML_DONE = 0,
  NVML_NOT_SUPPORTED = 3,
  NVML_NO_PERMISSION = 4,
  NVML_NOT_FOUND = 6,
  NVML_TIMEOUT = 10,
  NVML_FUNCTION_NOT_FOUND = 13,
};

constexpr int NVML_P2P_NVLINK = 2;
constexpr unsigned long long NVML_EVENT_XID = 8;

struct NvmlMemory {  // nvmlMemory_v2_t
  unsigned version = static_cast<unsigned>(sizeof(NvmlMemory)) | 2u << 24;
  unsigned long long total = 0;
  unsigned long long reserved = 0;
  unsigned long long free = 0;
  unsigned long long used = 0;
};

struct NvmlPci {  // nvmlPciInfo_t of nvmlDeviceGetPciInfo_v3
  char legacyBusId[16];
  unsigned domain;
  unsigned bus;
  unsigned device;
  unsigned deviceId;
  unsigned subsystemId;
  char busId[32];
};

struct NvmlEvent {  // nvmlEventData_t of nvmlEventSetWait_v2
  NvmlDevice device;
  unsigned long long type;
  unsigned long long data;  // the number of an XID
  unsigned gpuInstance;
  unsigned computeInstance;
};

// Its functions. Those after `eventSetFree` are null where the driver is older than they are.
struct NvmlLibrary {
  // Refuses as openNvml().
  static Result<std::unique_ptr<NvmlLibrary>> load(const std::string& file);
  ~NvmlLibrary();

  std::string text(int result) const { return errorString(result); }

  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*errorString)(int) = nullptr;
  int (*driverVersion)(char*, unsigned) = nullptr;
  int (*deviceCount)(unsigned*) = nullptr;
  int (*handleByIndex)(unsigned, NvmlDevice*) = nullptr;
  int (*name)(NvmlDevice, char*, unsigned) = nullptr;
  int (*uuid)(NvmlDevice, char*, unsigned) = nullptr;
  int (*pci)(NvmlDevice, NvmlPci*) = nullptr;
  int (*memory)(NvmlDevice, NvmlMemory*) = nullptr;
  int (*p2pStatus)(NvmlDevice, NvmlDevice, int, int*) = nullptr;
  int (*eventSetCreate)(NvmlEventSet*) = nullptr;
  int (*registerEvents)(NvmlDevice, unsigned long long, NvmlEventSet) = nullptr;
  int (*eventSetWait)(NvmlEventSet, NvmlEvent*, unsigned) = nullptr;
  int (*eventSetFree)(NvmlEventSet) = nullptr;
  int (*migMode)(NvmlDevice, unsigned*, unsigned*) = nullptr;
  int (*retiredPagesPending)(NvmlDevice, int*) = nullptr;
  int (*remappedRows)(NvmlDevice, unsigned*, unsigned*, unsigned*, unsigned*) = nullptr;

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  Result<Done> find();
  std::unique_ptr<void, Close> handle_;
  bool initialised_ = false;
};

}  // namespace muster::worker
