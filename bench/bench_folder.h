// A temporary folder of a benchmark.
#pragma once

#include <string>

namespace muster::bench {

// A folder that goes with this object.
class BenchFolder {
 public:
  BenchFolder();
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const;  // gives its path

 private:
  std::string path_;  // without links in it
};

}  // namespace muster::bench
