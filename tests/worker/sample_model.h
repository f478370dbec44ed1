// A small real model on disk, made by the tool that users make theirs with.
#pragma once

#include "tools/make_model/writer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace muster::worker {

class SampleModel {
 public:
  static constexpr sample::Llama SHAPE = {.hidden = 64,
                                          .layers = 4,
                                          .heads = 4,
                                          .kvHeads = 2,
                                          .intermediate = 96,
                                          .vocab = 500,
                                          .dtype = sample::Dtype::BF16};

  SampleModel() {
    std::string pattern = (std::filesystem::temp_directory_path() / "muster_model.XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root = std::filesystem::canonical(pattern);
    folder = root / "sample";
    EXPECT_TRUE(sample::writeModel(folder, SHAPE, 2, 7).ok());
  }
  ~SampleModel() { std::filesystem::remove_all(root); }
  SampleModel(const SampleModel&) = delete;
  SampleModel& operator=(const SampleModel&) = delete;

  std::string source() const { return "file:" + folder.string(); }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static void write(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::filesystem::path weights(int file) const {
    return folder / ("model-0000" + std::to_string(file) + "-of-00002.safetensors");
  }

  std::filesystem::path root;
  std::filesystem::path folder;
};

}  // namespace muster::worker
