#include "worker/model_inspector.h"

#include "sharding/model_spec.h"
#include "sharding/safetensors.h"

#include <dirent.h>
#include <kj/debug.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <errno.h>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <unistd.h>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

constexpr uint64_t CONFIG_BYTES_MAX = 4 << 20;
constexpr const char* CONFIG_NAME = "config.json";
constexpr const char* INDEX_NAME = "model.safetensors.index.json";

Result<std::string> readRange(const OpenedPath& file, uint64_t bytes) {
  std::string content(bytes, '\0');
  uint64_t done = 0;
  while (done < bytes) {
    ssize_t got =
        ::pread(file.fd.get(), content.data() + done, bytes - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return Refusal{.code = RefusalCode::MODEL_FILE_CORRUPT,
                     .text = file.path + " cannot be read at byte " + std::to_string(done) + ": " +
                             (got == 0 ? "it ends there" : std::strerror(errno))};
    }
    done += static_cast<uint64_t>(got);
  }
  return content;
}

}  // namespace

Result<std::string> readWhole(const OpenedPath& file, uint64_t bytesMax) {
  if (file.bytes > bytesMax) {
    return Refusal{.code = RefusalCode::MODEL_CONFIG_INVALID,
                   .text = file.path + " has " + std::to_string(file.bytes) + " bytes; at most " +
                           std::to_string(bytesMax) + " are read"};
  }
  return readRange(file, file.bytes);
}

namespace {

// Names of the regular entries of a folder, sorted.
Result<std::vector<std::string>> namesIn(const OpenedPath& folder) {
  int fd = ::openat(folder.fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return Refusal{
        .code = RefusalCode::MODEL_NOT_FOUND,
        .text = "model folder " + folder.path + " cannot be listed: " + std::strerror(errno)};
  }
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), &::closedir);
  KJ_REQUIRE(stream != nullptr, "fdopendir failed", folder.path.c_str());
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(stream.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

bool isPickle(const std::string& name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") ||
         name.ends_with(".ckpt") || name.ends_with(".pkl");
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::binary_search(names.begin(), names.end(), name);
}

Refusal noWeights(const OpenedPath& folder, const std::vector<std::string>& names) {
  auto pickle = std::find_if(names.begin(), names.end(), isPickle);
  if (pickle == names.end()) {
    return {.code = RefusalCode::MODEL_NOT_FOUND,
            .text = folder.path + " holds no .safetensors file"};
  }
  return {.code = RefusalCode::MODEL_FORMAT_REFUSED,
          .text = folder.path + " holds weights only as " + *pickle +
                  ", a format that can run code when it is loaded; it was not opened",
          .fixes = {"convert the weights to safetensors"}};
}

// The safetensors files of a model: those of the index when there is one, else all in the folder.
Result<std::vector<std::string>> weightFiles(const std::vector<std::string>& names,
                                             const std::optional<sharding::ModelIndex>& index,
                                             const OpenedPath& folder) {
  std::vector<std::string> present;
  for (const auto& name : names) {
    if (name.ends_with(".safetensors")) present.push_back(name);
  }
  if (index) {
    auto complete = sharding::checkIndexFiles(*index, present);
    if (!complete) return complete.refusal();
    return index->files();
  }
  if (present.empty()) return noWeights(folder, names);
  return present;
}

struct Inspected {
  ModelFile file;
  sharding::SafetensorsHeader header;
};

Result<Inspected> inspectFile(const ModelRoots& roots, const OpenedPath& folder,
                              const std::string& name) {
  auto opened = roots.openFile(folder, name);
  if (!opened) return opened.refusal();
  auto head = readSafetensorsHead(*opened);
  if (!head) return head.refusal();
  auto header = sharding::parseSafetensors(name, *head, opened->bytes);
  if (!header) return header.refusal();
  return Inspected{{name, {opened->bytes}, digestOf(*head)}, *header};
}

// Binds the manifest to what was read: another config or header gives another digest.
std::string manifestDigest(const ModelManifest& manifest) {
  std::string all = digestOf(manifest.configJson);
  for (const auto& file : manifest.files) {
    all += file.name + ":" + std::to_string(file.size.count) + ":" + file.headerDigest + ";";
  }
  return digestOf(all);
}

Result<std::optional<sharding::ModelIndex>> readIndex(const ModelRoots& roots,
                                                      const OpenedPath& folder,
                                                      const std::vector<std::string>& names) {
  if (!has(names, INDEX_NAME)) return std::optional<sharding::ModelIndex>();
  auto file = roots.openFile(folder, INDEX_NAME);
  if (!file) return file.refusal();
  auto text = readWhole(*file, sharding::SAFETENSORS_INDEX_BYTES_MAX);
  if (!text) return text.refusal();
  auto index = sharding::parseIndex(*text);
  if (!index) return index.refusal();
  return std::optional(*index);
}

Result<std::string> readConfig(const ModelRoots& roots, const OpenedPath& folder,
                               const std::vector<std::string>& names) {
  if (!has(names, CONFIG_NAME)) {
    return Refusal{.code = RefusalCode::MODEL_CONFIG_INVALID,
                   .text = folder.path + " has no config.json",
                   .fixes = {"point `model` at a folder in Hugging Face layout"}};
  }
  auto file = roots.openFile(folder, CONFIG_NAME);
  if (!file) return file.refusal();
  return readWhole(*file, CONFIG_BYTES_MAX);
}

Result<Done> readWeights(const ModelRoots& roots, const OpenedPath& folder,
                         const std::vector<std::string>& names, ModelManifest& manifest) {
  auto index = readIndex(roots, folder, names);
  if (!index) return index.refusal();
  auto files = weightFiles(names, *index, folder);
  if (!files) return files.refusal();
  std::vector<sharding::SafetensorsHeader> headers;
  for (const auto& name : *files) {
    auto inspected = inspectFile(roots, folder, name);
    if (!inspected) return inspected.refusal();
    manifest.files.push_back(inspected->file);
    headers.push_back(std::move(inspected->header));
  }
  auto tensors = sharding::gatherTensors(headers, index->has_value() ? &**index : nullptr);
  if (!tensors) return tensors.refusal();
  manifest.tensors = std::move(*tensors);
  return Done{};
}

}  // namespace

std::string digestOf(std::string_view bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return toText(Guid{hash.high64, hash.low64});
}

Result<std::string> readSafetensorsHead(const OpenedPath& file) {
  auto prefix = readRange(file, std::min(file.bytes, sharding::SAFETENSORS_PREFIX_BYTES));
  if (!prefix) return prefix;
  auto end = sharding::safetensorsHeaderEnd(file.path, *prefix, file.bytes);
  if (!end) return end.refusal();
  return readRange(file, *end);
}

Result<ModelManifest> inspectModel(const ModelRoots& roots, const std::string& source,
                                   const NodeName& inspector) {
  auto folder = roots.openModel(source);
  if (!folder) return folder.refusal();
  auto names = namesIn(*folder);
  if (!names) return names.refusal();
  auto config = readConfig(roots, *folder, *names);
  if (!config) return config.refusal();

  ModelManifest manifest{.source = source, .configJson = *config, .inspectedBy = inspector};
  auto weights = readWeights(roots, *folder, *names, manifest);
  if (!weights) return weights.refusal();
  auto spec = sharding::readModelSpec(manifest.configJson, manifest.tensors);
  if (!spec) return spec.refusal();
  manifest.digest = manifestDigest(manifest);
  return manifest;
}

}  // namespace muster::worker
