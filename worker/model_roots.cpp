#include "worker/model_roots.h"

#include <kj/debug.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <errno.h>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace muster::worker {
namespace {

constexpr std::string_view FILE_SCHEME = "file:";

// Where an open descriptor really points. Asking the descriptor and not the name leaves no moment
// in which a link could be changed between the check and the use.
std::optional<std::string> realPath(int fd) {
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  std::string target(PATH_MAX, '\0');
  ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  if (length <= 0 || static_cast<size_t>(length) >= target.size()) return std::nullopt;
  target.resize(static_cast<size_t>(length));
  return target;
}

std::string listed(const std::vector<std::string>& paths) {
  if (paths.empty()) return "none are configured";
  std::string text;
  for (const auto& path : paths) text += (text.empty() ? "" : ", ") + path;
  return text;
}

Refusal notFound(const std::string& what, const std::string& path, int error) {
  return {.code = RefusalCode::MODEL_NOT_FOUND,
          .text = what + " " + path + " cannot be opened: " + std::strerror(error)};
}

}  // namespace

ModelRoots::ModelRoots(std::vector<std::string> roots) : asked_(std::move(roots)) {
  for (const auto& root : asked_) {
    std::unique_ptr<char, decltype(&std::free)> real(::realpath(root.c_str(), nullptr), &std::free);
    if (real != nullptr) resolved_.emplace_back(real.get());
  }
}

bool ModelRoots::contains(const std::string& path) const {
  for (const auto& root : resolved_) {
    if (root == "/" || path == root || path.starts_with(root + "/")) return true;
  }
  return false;
}

Result<OpenedPath> ModelRoots::checked(kj::AutoCloseFd fd, const std::string& asked) const {
  auto path = realPath(fd.get());
  if (!path || !contains(*path)) {
    return Refusal{.code = RefusalCode::MODEL_OUTSIDE_ROOTS,
                   .text = asked + " leads to " + path.value_or("nowhere") +
                           ", outside the model roots (" + listed(asked_) + ")",
                   .fixes = {"add its folder to model_roots in worker.toml"}};
  }
  return OpenedPath{.fd = kj::mv(fd), .path = *path};
}

Result<OpenedPath> ModelRoots::openModel(const std::string& source) const {
  if (!source.starts_with(FILE_SCHEME)) {
    return Refusal{.code = RefusalCode::NOT_SUPPORTED_YET,
                   .text = "model source " + source + " is not supported yet; file:PATH is"};
  }
  std::string path = source.substr(FILE_SCHEME.size());
  // O_PATH opens nothing that a special file could answer to.
  int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return notFound("model folder", path, errno);
  return checked(kj::AutoCloseFd(fd), path);
}

Result<OpenedPath> ModelRoots::openFile(const OpenedPath& folder, const std::string& name) const {
  std::string shown = folder.path + "/" + name;
  // Non-blocking, so that a named pipe in the folder cannot hold us up.
  int fd = ::openat(folder.fd.get(), name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return notFound("file", shown, errno);
  auto opened = checked(kj::AutoCloseFd(fd), shown);
  if (!opened) return opened;
  struct stat status {};
  KJ_SYSCALL(::fstat(fd, &status));
  if (!S_ISREG(status.st_mode)) {
    return Refusal{.code = RefusalCode::MODEL_FILE_CORRUPT, .text = shown + " is no regular file"};
  }
  opened->bytes = static_cast<uint64_t>(status.st_size);
  return opened;
}

}  // namespace muster::worker
