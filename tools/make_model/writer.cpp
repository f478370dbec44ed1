#include "tools/make_model/writer.h"

#include "tools/make_model/weights.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <future>
#include <utility>

namespace muster::sample {
namespace {

namespace fs = std::filesystem;

constexpr size_t BLOCK_BYTES = 1 << 20;

uint64_t bytesOf(std::span<const Tensor> tensors, Dtype dtype) {
  uint64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.elements() * bytesPerElement(dtype);
  return bytes;
}

std::string fileName(size_t number, size_t files) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", number, files);
  return name;
}

void writeText(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  KJ_REQUIRE(file.good(), "cannot write", path.c_str());
}

void writeTensor(std::ofstream& file, const Tensor& tensor, Dtype dtype, SeededRandom random) {
  std::vector<std::byte> block(BLOCK_BYTES);
  uint64_t left = tensor.elements() * bytesPerElement(dtype);
  while (left > 0) {
    const size_t size = std::min<uint64_t>(left, block.size());
    fillNormal(std::span(block).first(size), dtype, tensor.scale, random);
    file.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(size));
    left -= size;
  }
}

// `seeds`: one per tensor of the whole model, so that the cut into files does not change the
// weights.
void writeFile(const fs::path& path, const FilePlan& plan, Dtype dtype,
               const std::vector<uint64_t>& seeds) {
  std::ofstream file(path, std::ios::binary);
  file << safetensorsHeader(plan.tensors, dtype);
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    writeTensor(file, plan.tensors[i], dtype, SeededRandom(seeds[plan.firstTensor + i]));
  }
  file.close();
  KJ_REQUIRE(file.good(), "cannot write", path.c_str());
}

std::string indexText(const std::vector<FilePlan>& plans, uint64_t totalBytes) {
  nlohmann::ordered_json places = nlohmann::ordered_json::object();
  for (const FilePlan& plan : plans) {
    for (const Tensor& tensor : plan.tensors) places[tensor.name] = plan.name;
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", totalBytes}}},
                                        {"weight_map", std::move(places)}};
  return index.dump(2) + "\n";
}

void writeFiles(const fs::path& folder, const std::vector<FilePlan>& plans, Dtype dtype,
                const std::vector<uint64_t>& seeds) {
  std::vector<std::future<void>> running;
  running.reserve(plans.size());
  for (const FilePlan& plan : plans) {
    running.push_back(std::async(std::launch::async, [&folder, &plan, dtype, &seeds] {
      writeFile(folder / plan.name, plan, dtype, seeds);
    }));
  }
  for (auto& file : running) file.get();
}

}  // namespace

Result<std::vector<FilePlan>> cutIntoFiles(std::span<const Tensor> tensors, uint32_t files) {
  if (files == 0 || files > tensors.size()) {
    return Refusal{RefusalCode::INVALID_VALUE, "files " + std::to_string(files) + ": wanted 1 to " +
                                                   std::to_string(tensors.size())};
  }
  uint64_t total = 0;
  for (const Tensor& tensor : tensors) total += tensor.elements();
  std::vector<FilePlan> plans;
  size_t next = 0;
  uint64_t before = 0;  // elements in the files so far
  for (uint32_t file = 0; file < files; ++file) {
    const size_t first = next;
    const size_t lastStart = tensors.size() - (files - file - 1);  // leaves one for each later file
    const uint64_t goal = total / files * (file + 1);
    do {
      before += tensors[next++].elements();
    } while (next < lastStart && (before < goal || file + 1 == files));
    plans.push_back({fileName(file + 1, files), tensors.subspan(first, next - first), first});
  }
  return plans;
}

std::string safetensorsHeader(std::span<const Tensor> tensors, Dtype dtype) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    const uint64_t end = offset + tensor.elements() * bytesPerElement(dtype);
    header[tensor.name] = {{"dtype", safetensorsName(dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

Result<Written> writeModel(const fs::path& out, const Llama& llama, uint32_t files, uint64_t seed) {
  if (auto possible = check(llama); !possible) return possible.refusal();
  if (fs::exists(out) && !(fs::is_directory(out) && fs::is_empty(out))) {
    return Refusal{RefusalCode::INVALID_VALUE, out.string() + " exists already"};
  }
  const std::vector<Tensor> tensors = tensorsOf(llama);
  auto plans = cutIntoFiles(tensors, files);
  if (!plans) return plans.refusal();

  std::vector<uint64_t> seeds;
  SeededRandom random(seed);
  for (size_t i = 0; i < tensors.size(); ++i) seeds.push_back(random.next());

  const fs::path folder = out.string() + ".partial";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const uint64_t bytes = bytesOf(tensors, llama.dtype);
  writeFiles(folder, *plans, llama.dtype, seeds);
  writeText(folder / "model.safetensors.index.json", indexText(*plans, bytes));
  writeText(folder / "config.json", configOf(llama).dump(2) + "\n");
  fs::rename(folder, out);
  return Written{bytes / bytesPerElement(llama.dtype), bytes};
}

}  // namespace muster::sample
