// A libnvidia-ml.so.1 for machines without a GPU. The file that MUSTER_STAND_IN_GPUS names says
// what there is, read anew at each call, so that a test can make a GPU sick:
//
//   driver=550.54.15
//   name=NVIDIA H100 80GB HBM3 uuid=GPU-a memory=85899345920 bus=27 links=1,2,3 state=ok xid=79
//
// One line for each GPU; spaces in values are written as '_'. state: ok, lost, mig, remap_failed,
// remap_pending, retiring. An xid is told once to each process. No file: no driver is loaded.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

enum : int {
  DONE = 0,
  INVALID = 2,
  NOT_SUPPORTED = 3,
  DRIVER_NOT_LOADED = 9,
  TIMED_OUT = 10,
  LOST = 15
};
constexpr int NVLINK = 2;
constexpr unsigned long long XID = 8;

using Gpu = std::map<std::string, std::string>;

struct Machine {
  bool isThere = false;
  std::string driver;
  std::vector<Gpu> gpus;
};

Machine read() {
  Machine machine;
  const char* path = std::getenv("MUSTER_STAND_IN_GPUS");
  std::ifstream file(path == nullptr ? "" : path);
  machine.isThere = file.good();
  for (std::string line; std::getline(file, line);) {
    Gpu gpu;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      auto equals = word.find('=');
      std::string value = word.substr(equals + 1);
      for (char& c : value) c = c == '_' ? ' ' : c;
      gpu[word.substr(0, equals)] = value;
    }
    if (gpu.count("driver") != 0) machine.driver = gpu["driver"];
    if (gpu.count("uuid") != 0) machine.gpus.push_back(gpu);
  }
  return machine;
}

// A handle is the index plus one, as a pointer.
using Device = void*;
unsigned indexOf(Device device) {
  return static_cast<unsigned>(reinterpret_cast<uintptr_t>(device)) - 1;
}
Device handleOf(unsigned index) { return reinterpret_cast<Device>(uintptr_t{index} + 1); }

int find(Device device, Gpu& gpu) {
  Machine machine = read();
  unsigned index = indexOf(device);
  if (index >= machine.gpus.size()) return INVALID;
  gpu = machine.gpus[index];
  return gpu["state"] == "lost" ? LOST : DONE;
}

int write(const std::string& text, char* out, unsigned length) {
  std::snprintf(out, length, "%s", text.c_str());
  return DONE;
}

std::set<unsigned>& told() {
  static std::set<unsigned> indices;
  return indices;
}

}  // namespace

extern "C" {

int nvmlInit_v2() { return read().isThere ? DONE : DRIVER_NOT_LOADED; }
int nvmlShutdown() { return DONE; }
const char* nvmlErrorString(int result) {
  return result == LOST                ? "GPU is lost"
         : result == DRIVER_NOT_LOADED ? "Driver Not Loaded"
                                       : "Unknown Error";
}
int nvmlSystemGetDriverVersion(char* out, unsigned length) {
  return write(read().driver, out, length);
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(read().gpus.size());
  return DONE;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  *device = handleOf(index);
  Gpu gpu;
  return find(*device, gpu);
}
int nvmlDeviceGetName(Device device, char* out, unsigned length) {
  Gpu gpu;
  int found = find(device, gpu);
  return found == DONE ? write(gpu["name"], out, length) : found;
}
int nvmlDeviceGetUUID(Device device, char* out, unsigned length) {
  Gpu gpu;
  int found = find(device, gpu);
  return found == DONE ? write(gpu["uuid"], out, length) : found;
}

struct Memory {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
int nvmlDeviceGetMemoryInfo_v2(Device device, Memory* memory) {
  Gpu gpu;
  int found = find(device, gpu);
  if (found != DONE) return found;
  if (memory->version != (sizeof(Memory) | 2u << 24)) return INVALID;
  memory->total = std::stoull(gpu["memory"]);
  memory->reserved = gpu.count("reserved") != 0 ? std::stoull(gpu["reserved"]) : 0;
  memory->free = memory->total - memory->reserved;
  memory->used = 0;
  return DONE;
}

struct Pci {
  char legacyBusId[16];
  unsigned domain, bus, device, deviceId, subsystemId;
  char busId[32];
};
int nvmlDeviceGetPciInfo_v3(Device device, Pci* pci) {
  Gpu gpu;
  int found = find(device, gpu);
  if (found != DONE) return found;
  std::memset(pci, 0, sizeof *pci);
  pci->bus = static_cast<unsigned>(std::stoul(gpu["bus"]));
  return DONE;
}

int nvmlDeviceGetP2PStatus(Device one, Device other, int kind, int* status) {
  Gpu gpu;
  int found = find(one, gpu);
  if (found != DONE) return found;
  std::istringstream links(gpu["links"]);
  *status = 6;  // unknown
  for (std::string index; std::getline(links, index, ',');) {
    if (kind == NVLINK && std::stoul(index) == indexOf(other)) *status = 0;
  }
  return DONE;
}

int nvmlDeviceGetMigMode(Device device, unsigned* current, unsigned* pending) {
  Gpu gpu;
  int found = find(device, gpu);
  *current = *pending = gpu["state"] == "mig" ? 1 : 0;
  return found;
}

int nvmlDeviceGetRetiredPagesPendingStatus(Device device, int* pending) {
  Gpu gpu;
  int found = find(device, gpu);
  *pending = gpu["state"] == "retiring" ? 1 : 0;
  return found;
}

int nvmlDeviceGetRemappedRows(Device device, unsigned* correctable, unsigned* uncorrectable,
                              unsigned* pending, unsigned* failed) {
  Gpu gpu;
  int found = find(device, gpu);
  *correctable = *uncorrectable = 0;
  *pending = gpu["state"] == "remap pending" ? 1 : 0;
  *failed = gpu["state"] == "remap failed" ? 1 : 0;
  return gpu["state"] == "retiring" ? NOT_SUPPORTED : found;  // of GPUs that retire pages
}

int nvmlEventSetCreate(void** set) {
  *set = handleOf(0);
  return DONE;
}
int nvmlDeviceRegisterEvents(Device, unsigned long long types, void*) {
  return types == XID ? DONE : NOT_SUPPORTED;
}

struct Event {
  Device device;
  unsigned long long type, data;
  unsigned gpuInstance, computeInstance;
};
int nvmlEventSetWait_v2(void*, Event* event, unsigned) {
  Machine machine = read();
  for (unsigned index = 0; index < machine.gpus.size(); ++index) {
    Gpu& gpu = machine.gpus[index];
    if (gpu.count("xid") == 0 || !told().insert(index).second) continue;
    *event = {handleOf(index), XID, std::stoull(gpu["xid"]), ~0u, ~0u};
    return DONE;
  }
  return TIMED_OUT;
}
int nvmlEventSetFree(void*) { return DONE; }

}  // extern "C"
