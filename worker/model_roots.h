// Opens model files, and nothing that lies outside the folders the administrator named.
#pragma once

#include "base/result.h"

#include <kj/io.h>

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

// An open file or folder with the path it really has after every link was followed.
struct OpenedPath {
  kj::AutoCloseFd fd;
  std::string path;
  uint64_t bytes = 0;  // size of a file; 0 for a folder
};

class ModelRoots {
 public:
  // `roots`: absolute paths. Those that cannot be resolved now are kept and refused when used.
  explicit ModelRoots(std::vector<std::string> roots);

  // The folder of a `file:` source such as "file:/models/sample".
  // Refuses NOT_SUPPORTED_YET for another scheme, MODEL_NOT_FOUND when there is no such folder,
  // MODEL_OUTSIDE_ROOTS when it lies, after resolving links, below none of the roots.
  Result<OpenedPath> openModel(const std::string& source) const;

  // A regular file below `folder` (an open model folder); links are followed and must end below a
  // root as well. Refuses MODEL_NOT_FOUND, MODEL_OUTSIDE_ROOTS, and MODEL_FILE_CORRUPT for what is
  // no regular file.
  Result<OpenedPath> openFile(const OpenedPath& folder, const std::string& name) const;

  const std::vector<std::string>& resolved() const { return resolved_; }

 private:
  bool contains(const std::string& path) const;
  Result<OpenedPath> checked(kj::AutoCloseFd fd, const std::string& asked) const;

  std::vector<std::string> asked_;
  std::vector<std::string> resolved_;
};

}  // namespace muster::worker
