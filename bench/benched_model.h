// The Llama that other engines were measured on: 205.6 million parameters, hidden 1024, 16 layers,
// 16 heads of 64, 8 key/value heads, feed-forward 2816, vocabulary 8192, untied. Here as files, cut
// into ranks, for benchmarks that load it.
#pragma once

#include "protocol/model.h"
#include "protocol/plan.h"
#include "sharding/shard_map.h"
#include "tools/make_model/llama.h"
#include "worker/engine/native/slice_load.h"
#include "worker/model_roots.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace muster::bench {

sample::Llama benchedLlama(sample::Dtype dtype);

class BenchedModel {
 public:
  // Writes it, with random weights and in two files, into `folder`, which is its model root: a path
  // without links, kept by the caller.
  BenchedModel(std::string folder, sample::Dtype dtype);

  std::string source() const { return "file:" + folder_ + "/sample"; }
  std::vector<std::string> weightFiles() const;  // paths
  // Whoever reads the weights next reads them from the disk.
  void leavePageCache() const;

  std::vector<sharding::Slice> slicesOf(const ShardPlan& plan, uint32_t rank) const;
  std::vector<worker::SliceFile> open() const;  // what the slices of a rank are read from

 private:
  std::string folder_;
  worker::ModelRoots roots_;
  ModelManifest manifest_;
};

// A counter of /proc/PROCESS/io: "rchar", bytes that the process asked read() for, or "read_bytes",
// those that the kernel fetched from a disk for it. `process`: a pid, or "self".
uint64_t ioCounter(const std::string& process, std::string_view counter);

}  // namespace muster::bench
