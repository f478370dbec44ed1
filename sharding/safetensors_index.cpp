// The index over the files of one model: parsing it, and holding it against the files' own headers.
#include "sharding/json.h"
#include "sharding/safetensors.h"
#include "sharding/text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace muster::sharding {
namespace {

const char* const INDEX_FILE = "model.safetensors.index.json";
constexpr int INDEX_DEPTH_MAX = 16;

// A file of the model's own directory, and nothing that could hold a pickle.
std::optional<Refusal> checkFileName(const std::string& tensor, const std::string& file) {
  std::string what =
      std::string(INDEX_FILE) + ": tensor " + inQuotes(tensor) + " is in file " + inQuotes(file);
  bool path = file.empty() || file.front() == '.' ||
              file.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos;
  if (path) {
    return Refusal{RefusalCode::MODEL_OUTSIDE_ROOTS, what + ", a plain file name is wanted"};
  }
  if (!std::string_view(file).ends_with(".safetensors")) {
    return Refusal{RefusalCode::MODEL_FORMAT_REFUSED, what + ", only .safetensors are read"};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> ModelIndex::files() const {
  std::set<std::string> names;
  for (const auto& [tensor, file] : fileOfTensor) names.insert(file);
  return {names.begin(), names.end()};
}

Result<ModelIndex> parseIndex(std::string_view json) {
  auto parsed = parseJsonObject(json, {INDEX_FILE, RefusalCode::MODEL_CONFIG_INVALID,
                                       SAFETENSORS_INDEX_BYTES_MAX, INDEX_DEPTH_MAX});
  if (!parsed) return parsed.refusal();
  auto map = parsed->find("weight_map");
  if (map == parsed->end() || !map->is_object() || map->empty()) {
    return Refusal{RefusalCode::MODEL_CONFIG_INVALID,
                   std::string(INDEX_FILE) + ": weight_map is missing, empty or not an object"};
  }
  ModelIndex index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      return Refusal{
          RefusalCode::MODEL_CONFIG_INVALID,
          std::string(INDEX_FILE) + ": tensor " + inQuotes(tensor) + ": a file name is wanted"};
    }
    auto name = file.get<std::string>();
    if (auto refusal = checkFileName(tensor, name)) return *refusal;
    index.fileOfTensor.emplace(tensor, std::move(name));
  }
  return index;
}

Result<Done> checkIndexFiles(const ModelIndex& index, const std::vector<std::string>& present) {
  std::vector<std::string> missing;
  for (auto& file : index.files()) {
    if (std::find(present.begin(), present.end(), file) == present.end()) missing.push_back(file);
  }
  if (missing.empty()) return Done{};
  return Refusal{RefusalCode::MODEL_FILE_CORRUPT,
                 std::string(INDEX_FILE) + " names " + listText(missing) +
                     (missing.size() == 1 ? ", which is" : ", which are") +
                     " missing from the model's directory"};
}

Result<std::vector<TensorInfo>> gatherTensors(const std::vector<SafetensorsHeader>& headers,
                                              const ModelIndex* index) {
  std::map<std::string, TensorInfo> tensors;
  for (const auto& header : headers) {
    for (const auto& tensor : header.tensors) {
      auto [place, isNew] = tensors.emplace(tensor.name, tensor);
      if (!isNew) {
        return Refusal{RefusalCode::MODEL_FILE_CORRUPT, "tensor " + inQuotes(tensor.name) +
                                                            " is in " + place->second.file +
                                                            " and again in " + tensor.file};
      }
      if (index == nullptr) continue;
      auto entry = index->fileOfTensor.find(tensor.name);
      std::string says =
          entry == index->fileOfTensor.end() ? "leaves it out" : "says " + entry->second;
      if (entry == index->fileOfTensor.end() || entry->second != tensor.file) {
        return Refusal{RefusalCode::MODEL_FILE_CORRUPT, "tensor " + inQuotes(tensor.name) +
                                                            " is in " + tensor.file + ", " +
                                                            INDEX_FILE + " " + says};
      }
    }
  }
  std::vector<TensorInfo> all;
  all.reserve(tensors.size());
  for (auto& [name, tensor] : tensors) all.push_back(std::move(tensor));
  if (index == nullptr) return all;
  for (const auto& [tensor, file] : index->fileOfTensor) {
    if (!tensors.contains(tensor)) {
      return Refusal{RefusalCode::MODEL_FILE_CORRUPT, std::string(INDEX_FILE) + " says that " +
                                                          file + " holds tensor " +
                                                          inQuotes(tensor) + ", which it does not"};
    }
  }
  return all;
}

}  // namespace muster::sharding
