#include "bench/benched_model.h"

#include "sharding/model_spec.h"
#include "tools/make_model/writer.h"
#include "worker/model_inspector.h"

#include <kj/debug.h>
#include <kj/io.h>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>
#include <utility>

namespace muster::bench {

sample::Llama benchedLlama(sample::Dtype dtype) {
  return {.hidden = 1024,
          .layers = 16,
          .heads = 16,
          .kvHeads = 8,
          .intermediate = 2816,
          .vocab = 8192,
          .dtype = dtype};
}

BenchedModel::BenchedModel(std::string folder, sample::Dtype dtype)
    : folder_(std::move(folder)), roots_({folder_}) {
  auto written = sample::writeModel(folder_ + "/sample", benchedLlama(dtype), 2, 7);
  KJ_REQUIRE(written.ok(), "the model could not be written");
  manifest_ = *worker::inspectModel(roots_, source(), {"bench"});
}

std::vector<std::string> BenchedModel::weightFiles() const {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/sample")) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path().string());
  }
  return paths;
}

void BenchedModel::leavePageCache() const {
  for (const auto& file : weightFiles()) {
    kj::AutoCloseFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    KJ_SYSCALL(::fdatasync(fd));
    KJ_REQUIRE(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "pages stay", file.c_str());
  }
}

std::vector<sharding::Slice> BenchedModel::slicesOf(const ShardPlan& plan, uint32_t rank) const {
  auto spec = sharding::readModelSpec(manifest_.configJson, manifest_.tensors);
  KJ_REQUIRE(spec.ok(), "the model cannot be read");
  auto shard = sharding::cutRank(*spec, manifest_.tensors, plan, rank);
  KJ_REQUIRE(shard.ok(), "the model cannot be cut so");
  return std::move(shard->slices);
}

std::vector<worker::SliceFile> BenchedModel::open() const {
  auto opened = roots_.openModel(source());
  KJ_REQUIRE(opened.ok(), "the model cannot be opened");
  std::vector<worker::SliceFile> files;
  for (const auto& file : manifest_.files) {
    files.push_back({file.name, roots_.openFile(*opened, file.name).value()});
  }
  return files;
}

uint64_t ioCounter(const std::string& process, std::string_view counter) {
  std::ifstream io("/proc/" + process + "/io");
  std::string name;
  uint64_t value = 0;
  while (io >> name >> value) {
    if (name == std::string(counter) + ":") return value;
  }
  KJ_FAIL_REQUIRE("no such counter of a process", process.c_str(), std::string(counter).c_str());
}

}  // namespace muster::bench
