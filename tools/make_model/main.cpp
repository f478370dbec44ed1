// muster-make-model: a random Llama in Hugging Face layout, to try Muster without downloading a
// model.
#include "tools/make_model/writer.h"

#include <getopt.h>
#include <kj/exception.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

using muster::Result;
using muster::sample::Llama;

constexpr const char* USAGE =
    "usage: muster-make-model DIRECTORY [--hidden N] [--layers N] [--heads N] [--kv-heads N]\n"
    "         [--intermediate N] [--vocab N] [--dtype bf16|f16|f32] [--files N] [--seed N]\n"
    "Writes a random Llama (by default about 100 M parameters) as config.json and safetensors.\n";

struct Options {
  std::string directory;
  Llama llama = {};
  uint32_t files = 2;
  uint64_t seed = 1;
};

muster::Refusal invalid(std::string text) {
  return {muster::RefusalCode::INVALID_VALUE, std::move(text)};
}

template <class Number>
Result<muster::Done> readNumber(const char* name, const char* text, Number& out) {
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, out);
  if (error != std::errc() || stop != end) {
    return invalid(std::string("--") + name + " " + text + ": wanted a whole number");
  }
  return muster::Done{};
}

Result<muster::Done> readDtype(const char* text, muster::sample::Dtype& out) {
  auto dtype = muster::sample::parseDtype(text);
  if (!dtype) return dtype.refusal();
  out = *dtype;
  return muster::Done{};
}

Result<muster::Done> readOption(const std::string& name, const char* text, Options& options) {
  Llama& llama = options.llama;
  if (name == "hidden") return readNumber("hidden", text, llama.hidden);
  if (name == "layers") return readNumber("layers", text, llama.layers);
  if (name == "heads") return readNumber("heads", text, llama.heads);
  if (name == "kv-heads") return readNumber("kv-heads", text, llama.kvHeads);
  if (name == "intermediate") return readNumber("intermediate", text, llama.intermediate);
  if (name == "vocab") return readNumber("vocab", text, llama.vocab);
  if (name == "files") return readNumber("files", text, options.files);
  if (name == "seed") return readNumber("seed", text, options.seed);
  return readDtype(text, llama.dtype);
}

Result<Options> readArguments(int argc, char** argv) {
  static constexpr option FLAGS[] = {{"hidden", required_argument, nullptr, 'o'},
                                     {"layers", required_argument, nullptr, 'o'},
                                     {"heads", required_argument, nullptr, 'o'},
                                     {"kv-heads", required_argument, nullptr, 'o'},
                                     {"intermediate", required_argument, nullptr, 'o'},
                                     {"vocab", required_argument, nullptr, 'o'},
                                     {"dtype", required_argument, nullptr, 'o'},
                                     {"files", required_argument, nullptr, 'o'},
                                     {"seed", required_argument, nullptr, 'o'},
                                     {nullptr, 0, nullptr, 0}};
  Options options;
  int index = 0;
  for (int flag; (flag = getopt_long(argc, argv, "", FLAGS, &index)) != -1;) {
    if (flag != 'o') return invalid(USAGE);  // getopt has named the unknown word
    auto read = readOption(FLAGS[index].name, optarg, options);
    if (!read) return read.refusal();
  }
  if (optind + 1 != argc) return invalid(USAGE);
  options.directory = argv[optind];
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  auto options = readArguments(argc, argv);
  if (!options) {
    std::fprintf(stderr, "%s\n", options.refusal().text.c_str());
    return 2;
  }
  auto written =
      muster::sample::writeModel(options->directory, options->llama, options->files, options->seed);
  if (!written) {
    std::fprintf(stderr, "error: %s\n", written.refusal().text.c_str());
    return 1;
  }
  std::printf("%s: %.1f M parameters, %.1f MB in %u files\n", options->directory.c_str(),
              static_cast<double>(written->parameters) / 1e6,
              static_cast<double>(written->bytes) / 1e6, options->files);
  return 0;
} catch (const kj::Exception& error) {
  std::fprintf(stderr, "error: %s\n", error.getDescription().cStr());
  return 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
