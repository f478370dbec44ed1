// What libmuster_cuda.so offers: the operations of the native engine's backend on a GPU, behind a
// plain C boundary.
//
// Muster's programs are built without CUDA and load this library when they find it, so one binary
// serves machines with and without GPUs. Nothing but plain structs and pointers crosses the
// boundary: the two sides may be built by different compilers. Every function that can fail returns
// false, or null, and lastError() says why, in the same thread. Operations on a device come from
// one thread and run in the order of the calls on the device's stream; those that read back wait.
#pragma once

#include <cstdint>

extern "C" {

// Rises whenever anything below changes its meaning.
enum { MUSTER_CUDA_ABI = 2 };

struct MusterCudaDevice;        // an opened device: stream, cuBLAS handle, scratch memory
struct MusterCudaCommunicator;  // one rank of an NCCL communicator

enum MusterCudaType : uint32_t { MUSTER_F32, MUSTER_F16, MUSTER_BF16, MUSTER_INT8 };

struct MusterCudaDeviceInfo {
  char name[256];  // "NVIDIA H200"
  char uuid[64];   // "GPU-8f0e...", as the driver's tools write it
  char busId[32];  // "0000:1b:00.0"
  uint64_t totalBytes;
  uint64_t freeBytes;
  uint32_t computeMajor;
  uint32_t computeMinor;
};

// Row-major weights in device memory. INT8: a byte times the scale of its block of 32 columns;
// scales: shape [rows][ceil(columns / 32)].
struct MusterCudaMatrix {
  const void* elements;
  const float* scales;
  uint32_t rows;
  uint32_t columns;
  MusterCudaType type;
};

// Shape [layers][blocks][kvHeads][blockTokens][headSize], keys and values alike.
struct MusterCudaCache {
  void* keys;
  void* values;
  uint32_t blocks;
  uint32_t blockTokens;
  uint32_t kvHeads;
  uint32_t headSize;
  MusterCudaType type;  // F32, F16 or BF16
};

struct MusterCudaAttention {
  uint32_t layer;
  uint32_t heads;
  uint32_t window;  // tokens that a query looks back, itself included; 0: all
};

// The tokens of a step, in host memory; copied by begin().
struct MusterCudaBatch {
  uint32_t rows;
  uint32_t rotationPairs;       // per row
  uint32_t blockCount;          // of all rows' sequences together
  const uint32_t* tokens;       // shape [rows]
  const float* rotations;       // shape [rows][rotationPairs][2]: cosine, sine
  const uint32_t* positions;    // shape [rows]
  const uint32_t* firstBlocks;  // shape [rows]: where the row's sequence begins in `blocks`
  const uint32_t* blocks;       // shape [blockCount]
};

struct MusterCudaPlugin {
  uint32_t abi;  // MUSTER_CUDA_ABI of the library
  const char* (*lastError)();

  // 0 where there is no driver or no device.
  uint32_t (*deviceCount)();
  bool (*describe)(uint32_t device, MusterCudaDeviceInfo* info);
  MusterCudaDevice* (*open)(uint32_t device);
  void (*close)(MusterCudaDevice* device);

  void* (*allocate)(MusterCudaDevice* device, uint64_t bytes);  // zeroed
  void (*release)(MusterCudaDevice* device, void* memory);
  bool (*upload)(MusterCudaDevice* device, void* to, const void* from, uint64_t bytes);
  bool (*download)(MusterCudaDevice* device, void* to, const void* from, uint64_t bytes);

  // The operations of worker/engine/native/backend.h, which says what each computes. Activations
  // are floats in device memory, rows without gaps.
  bool (*begin)(MusterCudaDevice* device, const MusterCudaBatch* batch);
  bool (*embed)(MusterCudaDevice* device, const MusterCudaMatrix* table, uint32_t firstRow,
                uint32_t rows, float* out);
  bool (*rmsNorm)(MusterCudaDevice* device, const float* in, const float* weight, float epsilon,
                  uint32_t rows, uint32_t width, float* out);
  bool (*multiply)(MusterCudaDevice* device, const MusterCudaMatrix* weights, const float* in,
                   const float* bias, uint32_t rows, float* out);
  bool (*rotate)(MusterCudaDevice* device, float* heads, uint32_t rows, uint32_t width,
                 uint32_t headSize);
  bool (*store)(MusterCudaDevice* device, const MusterCudaCache* cache, uint32_t layer,
                const float* keys, const float* values, uint32_t rows);
  bool (*attend)(MusterCudaDevice* device, const MusterCudaCache* cache,
                 const MusterCudaAttention* attention, const float* queries, uint32_t rows,
                 float* out);
  bool (*gate)(MusterCudaDevice* device, const float* gate, const float* up, float* out,
               uint64_t count);
  bool (*clear)(MusterCudaDevice* device, float* out, uint64_t count);  // to zero
  bool (*add)(MusterCudaDevice* device, float* sum, const float* term, const float* bias,
              uint32_t rows, uint32_t width);
  bool (*gatherRows)(MusterCudaDevice* device, const float* in, uint32_t width,
                     const uint32_t* rows, uint32_t count, float* out);
  bool (*addScaledRows)(MusterCudaDevice* device, float* sum, uint32_t width, const uint32_t* rows,
                        const float* factors, uint32_t count, const float* terms);

  // NCCL; null pointers where the library was built without it. `id`: 128 bytes that one rank makes
  // and all ranks of the communicator are given. Operations take device memory and end with false
  // when they are aborted or `timeoutMs` has passed; the communicator is of no use afterwards.
  bool (*makeCommunicatorId)(void* id);
  MusterCudaCommunicator* (*join)(MusterCudaDevice* device, const void* id, uint32_t rank,
                                  uint32_t size, uint32_t timeoutMs);
  void (*leave)(MusterCudaCommunicator* communicator);
  bool (*allReduceSum)(MusterCudaCommunicator* communicator, float* values, uint64_t count);
  bool (*allGather)(MusterCudaCommunicator* communicator, const void* mine, uint64_t bytes,
                    void* all);
  bool (*broadcast)(MusterCudaCommunicator* communicator, void* values, uint64_t bytes,
                    uint32_t root);
  bool (*send)(MusterCudaCommunicator* communicator, const void* values, uint64_t bytes,
               uint32_t to);
  bool (*receive)(MusterCudaCommunicator* communicator, void* values, uint64_t bytes,
                  uint32_t from);
  void (*abort)(MusterCudaCommunicator* communicator);  // from any thread
};

// The one symbol of the library. Never null; valid as long as the library is loaded.
const MusterCudaPlugin* musterCudaPlugin();

}  // extern "C"
