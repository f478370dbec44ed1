// Options of a benchmark: "--name NUMBER", each with a default, so that a short run can be asked
// for.
#pragma once

#include <kj/debug.h>

#include <cstdlib>
#include <map>
#include <string>

namespace muster::bench {

class Options {
 public:
  // `defaults`: every option there is. Throws FAILED on an unknown one and on what is no number.
  Options(int argc, char** argv, std::map<std::string, double> defaults)
      : values_(std::move(defaults)) {
    for (int i = 1; i < argc; i += 2) {
      std::string word = argv[i];
      auto known = values_.find(word.starts_with("--") ? word.substr(2) : word);
      KJ_REQUIRE(known != values_.end(), "unknown option", word.c_str(), names().c_str());
      KJ_REQUIRE(i + 1 < argc, "a number must follow", word.c_str());
      char* end = nullptr;
      known->second = std::strtod(argv[i + 1], &end);
      KJ_REQUIRE(*end == '\0' && end != argv[i + 1], "not a number", argv[i + 1]);
    }
  }

  double number(const std::string& name) const { return values_.at(name); }
  size_t count(const std::string& name) const { return static_cast<size_t>(values_.at(name)); }

 private:
  std::string names() const {
    std::string names = "there are:";
    for (const auto& [name, value] : values_) names += " --" + name;
    return names;
  }

  std::map<std::string, double> values_;
};

}  // namespace muster::bench
