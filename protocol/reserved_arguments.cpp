#include "protocol/reserved_arguments.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

namespace muster {
namespace {

using Words = std::span<const std::string_view>;

// The spellings of vLLM, SGLang, llama.cpp and torchrun.
constexpr std::array<std::string_view, 50> ARGUMENTS{
    // port and address
    "port", "host", "nccl-port", "http-port", "listen", "bind",
    // rank and rendezvous
    "rank", "node-rank", "local-rank", "global-rank", "machine-rank", "world-size",
    "local-world-size", "nnodes", "num-nodes", "nproc-per-node", "nproc", "master-addr",
    "master-address", "master-port", "dist-init-addr", "dist-url", "init-method", "headless",
    // parallel sizes
    "tp", "tp-size", "tensor-parallel-size", "tensor-parallel", "pp", "pp-size",
    "pipeline-parallel-size", "pipeline-parallel", "dp", "dp-size", "ep", "ep-size",
    "enable-expert-parallel", "expert-parallel-size", "tensor-split", "split-mode",
    // devices
    "device", "devices", "device-id", "device-ids", "gpus", "gpu-id", "base-gpu-id", "main-gpu",
    // served name
    "served-model-name", "alias"};
constexpr std::array<std::string_view, 2> ARGUMENT_PREFIXES{"rdzv-", "data-parallel-"};

constexpr std::array<std::string_view, 22> VARIABLES{"PORT",
                                                     "HOST",
                                                     "RANK",
                                                     "LOCAL_RANK",
                                                     "GLOBAL_RANK",
                                                     "NODE_RANK",
                                                     "GROUP_RANK",
                                                     "ROLE_RANK",
                                                     "WORLD_SIZE",
                                                     "LOCAL_WORLD_SIZE",
                                                     "GROUP_WORLD_SIZE",
                                                     "ROLE_WORLD_SIZE",
                                                     "MASTER_ADDR",
                                                     "MASTER_PORT",
                                                     "CUDA_VISIBLE_DEVICES",
                                                     "CUDA_DEVICE_ORDER",
                                                     "CUDA_DEVICE_ORDER",
                                                     "NVIDIA_VISIBLE_DEVICES",
                                                     "HIP_VISIBLE_DEVICES",
                                                     "ROCR_VISIBLE_DEVICES",
                                                     "NCCL_COMM_ID",
                                                     "VLLM_PORT"};
constexpr std::array<std::string_view, 3> VARIABLE_PREFIXES{"MUSTER_", "TORCHELASTIC_", "PET_"};

bool isListed(std::string_view name, Words words, Words prefixes) {
  auto isPrefix = [name](std::string_view prefix) { return name.starts_with(prefix); };
  return std::ranges::find(words, name) != words.end() || std::ranges::any_of(prefixes, isPrefix);
}

std::string normalized(std::string_view name) {
  name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
  std::string plain(name);
  for (char& c : plain) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_') c = '-';
  }
  return plain;
}

}  // namespace

bool isReservedArgument(std::string_view name) {
  return isListed(normalized(name), ARGUMENTS, ARGUMENT_PREFIXES);
}

bool isReservedVariable(std::string_view name) {
  return isListed(name, VARIABLES, VARIABLE_PREFIXES);
}

}  // namespace muster
