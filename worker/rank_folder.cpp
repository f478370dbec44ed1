#include "worker/rank_folder.h"

#include "base/files.h"
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"

#include <kj/debug.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>

namespace muster::worker {
namespace {

namespace fs = std::filesystem;

constexpr size_t OLD_LOGS_MAX = 32;
constexpr Bytes ASSIGNMENT_BYTES_MAX = 4_MiB;

std::string bootId() {
  auto text = readFile("/proc/sys/kernel/random/boot_id", 4_KiB);
  return text ? *text : std::string();
}

void makePrivateFolder(const std::string& path) {
  fs::create_directories(path);
  KJ_SYSCALL(::chmod(path.c_str(), 0700), path.c_str());
}

std::optional<uint64_t> takeNumber(std::string_view& text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.empty()) {
    if (text.front() != '-') return std::nullopt;
    text.remove_prefix(1);
  }
  return number;
}

}  // namespace

std::string folderName(RankRef ref) {
  return std::to_string(ref.deployment.value) + "-" + std::to_string(ref.replica.value) + "-" +
         std::to_string(ref.generation.value) + "-" + std::to_string(ref.rank.value);
}

std::optional<RankRef> parseFolderName(const std::string& name) {
  std::string_view rest = name;
  auto deployment = takeNumber(rest);
  auto replica = takeNumber(rest);
  auto generation = takeNumber(rest);
  auto rank = takeNumber(rest);
  if (!deployment || !replica || !generation || !rank || !rest.empty()) return std::nullopt;
  RankRef ref{{*deployment},
              {static_cast<uint32_t>(*replica)},
              {*generation},
              {static_cast<uint32_t>(*rank)}};
  if (folderName(ref) != name) return std::nullopt;
  return ref;
}

Result<Done> RankFolder::saveAssignment(const Assignment& assignment) const {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Assignment>();
  encode(assignment, root);
  return writeFileAtomically(path_ + "/assignment",
                             codec::canonicalBytes<schema::Assignment>(root.asReader()), 0600);
}

std::optional<Assignment> RankFolder::loadAssignment() const {
  auto bytes = readFile(path_ + "/assignment", ASSIGNMENT_BYTES_MAX);
  if (!bytes) return std::nullopt;
  std::optional<Assignment> assignment;
  auto failed = kj::runCatchingExceptions([&] {
    assignment = codec::readCanonical<schema::Assignment>(
        *bytes, [](schema::Assignment::Reader root) { return decode(root); });
  });
  return failed == nullptr ? assignment : std::nullopt;
}

Result<Done> RankFolder::saveProcess(ProcessId id) const {
  std::string text = std::to_string(id.pid) + " " + std::to_string(id.startTicks) + "\n" + bootId();
  return writeFileAtomically(path_ + "/process", text, 0600);
}

std::optional<ProcessId> RankFolder::loadProcess() const {
  auto text = readFile(path_ + "/process", 4_KiB);
  if (!text) return std::nullopt;
  ProcessId id;
  unsigned long long ticks = 0;
  if (std::sscanf(text->c_str(), "%d %llu", &id.pid, &ticks) != 2) return std::nullopt;
  id.startTicks = ticks;
  auto firstLine = text->find('\n');
  if (firstLine == std::string::npos || text->substr(firstLine + 1) != bootId())
    return std::nullopt;
  return id;
}

Result<Done> RankFolder::saveNote(const std::string& text) const {
  return writeFileAtomically(path_ + "/note", text, 0600);
}

std::optional<std::string> RankFolder::loadNote() const {
  auto text = readFile(path_ + "/note", 64_KiB);
  if (!text) return std::nullopt;
  return *text;
}

RankFolders::RankFolders(std::string dataDir) : dataDir_(std::move(dataDir)) {
  makePrivateFolder(dataDir_ + "/ranks");
  makePrivateFolder(dataDir_ + "/logs");
}

Result<RankFolder> RankFolders::create(RankRef ref) const {
  RankFolder folder(dataDir_ + "/ranks/" + folderName(ref), ref);
  std::error_code error;
  fs::create_directories(folder.path(), error);
  if (error) {
    return Refusal{.code = error == std::errc::no_space_on_device ? RefusalCode::DISK_FULL
                                                                  : RefusalCode::INTERNAL,
                   .text = "cannot make " + folder.path() + ": " + error.message()};
  }
  KJ_SYSCALL(::chmod(folder.path().c_str(), 0700), folder.path().c_str());
  return folder;
}

Result<RankFolder> RankFolders::passOn(const RankFolder& folder, const Assignment& next) const {
  auto saved = folder.saveAssignment(next);
  if (!saved) return saved.refusal();
  RankFolder renamed(dataDir_ + "/ranks/" + folderName(next.ref), next.ref);
  std::error_code error;
  fs::rename(folder.path(), renamed.path(), error);
  if (!error) return renamed;
  return Refusal{.code = RefusalCode::INTERNAL,
                 .text = "cannot rename " + folder.path() + ": " + error.message()};
}

std::vector<RankFolder> RankFolders::list() const {
  std::vector<RankFolder> folders;
  for (const auto& entry : fs::directory_iterator(dataDir_ + "/ranks")) {
    auto ref = parseFolderName(entry.path().filename().string());
    if (ref) folders.emplace_back(entry.path().string(), *ref);
  }
  std::sort(folders.begin(), folders.end(),
            [](const RankFolder& a, const RankFolder& b) { return a.ref() < b.ref(); });
  return folders;
}

void RankFolders::retire(const RankFolder& folder) const {
  std::error_code ignored;  // a log that cannot be kept must not keep the rank
  fs::rename(folder.outputFile(), dataDir_ + "/logs/" + folderName(folder.ref()) + ".log", ignored);
  fs::remove_all(folder.path(), ignored);
  std::vector<fs::directory_entry> logs;
  for (const auto& entry : fs::directory_iterator(dataDir_ + "/logs", ignored))
    logs.push_back(entry);
  if (logs.size() <= OLD_LOGS_MAX) return;
  std::sort(logs.begin(), logs.end(), [&](const auto& a, const auto& b) {
    return a.last_write_time(ignored) > b.last_write_time(ignored);
  });
  for (size_t i = OLD_LOGS_MAX; i < logs.size(); ++i) fs::remove(logs[i].path(), ignored);
}

std::optional<std::string> RankFolders::outputOf(RankRef ref) const {
  for (const auto& path : {dataDir_ + "/ranks/" + folderName(ref) + "/output.log",
                           dataDir_ + "/logs/" + folderName(ref) + ".log"}) {
    if (fs::exists(path)) return path;
  }
  return std::nullopt;
}

}  // namespace muster::worker
