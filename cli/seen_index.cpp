#include "cli/seen_index.h"

#include "base/files.h"

#include <kj/exception.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace muster::cli {
namespace {

constexpr Bytes SIZE_MAX_BYTES = 4_KiB;

}  // namespace

SeenIndexFile::SeenIndexFile(const std::string& stateFolder, const ClusterName& cluster)
    : path_(stateFolder + "/seen/" + cluster.value + ".json") {}

std::optional<SeenIndex> SeenIndexFile::read() const {
  std::optional<SeenIndex> seen;
  auto failure = kj::runCatchingExceptions([&] {
    auto content = readFile(path_, SIZE_MAX_BYTES);
    if (!content) return;
    auto json = nlohmann::json::parse(*content, nullptr, false);
    if (!json.is_object()) return;
    SeenIndex value;
    value.history.number = json.value("history_number", uint64_t{0});
    value.history.guid = {json.value("history_high", uint64_t{0}),
                          json.value("history_low", uint64_t{0})};
    value.index = {json.value("index", uint64_t{0})};
    seen = value;
  });
  if (failure != nullptr) return std::nullopt;
  return seen;
}

bool SeenIndexFile::write(const SeenIndex& seen) const {
  auto before = read();
  if (before && before->history == seen.history && before->index >= seen.index) return true;
  nlohmann::json json{{"version", 1},
                      {"history_number", seen.history.number},
                      {"history_high", seen.history.guid.high},
                      {"history_low", seen.history.guid.low},
                      {"index", seen.index.value}};
  bool written = false;
  auto failure = kj::runCatchingExceptions([&] {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    written = writeFileAtomically(path_, json.dump() + "\n", 0600).ok();
  });
  return failure == nullptr && written;
}

}  // namespace muster::cli
