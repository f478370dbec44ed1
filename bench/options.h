// Options of a benchmark: "--name NUMBER", each with a default, so that a short run can be asked
// for.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

namespace muster::bench {

class Options {
 public:
  // `defaults`: every option there is. Ends the program after --help (exit 0), and where an option
  // is unknown or its value is no number (exit 2), each with a word on stderr.
  Options(int argc, char** argv, std::map<std::string, double> defaults)
      : program_(argv[0]), values_(std::move(defaults)) {
    program_ = program_.substr(program_.rfind('/') + 1);
    for (int i = 1; i < argc; i += 2) {
      std::string word = argv[i];
      if (word == "--help" || word == "-h") end(0, usage());
      auto known = values_.find(word.starts_with("--") ? word.substr(2) : word);
      if (known == values_.end()) end(2, "there is no option \"" + word + "\"\n" + usage());
      if (i + 1 == argc) end(2, word + " wants a number");
      char* stop = nullptr;
      known->second = std::strtod(argv[i + 1], &stop);
      if (*stop != '\0' || stop == argv[i + 1])
        end(2, word + " wants a number, not \"" + argv[i + 1] + "\"");
    }
  }

  double number(const std::string& name) const { return values_.at(name); }
  size_t count(const std::string& name) const { return static_cast<size_t>(values_.at(name)); }

 private:
  [[noreturn]] void end(int status, const std::string& text) const {
    std::fprintf(stderr, "%s: %s\n", program_.c_str(), text.c_str());
    std::exit(status);
  }
  std::string usage() const {
    std::string text = "options and their defaults:";
    for (const auto& [name, value] : values_) {
      char number[32];
      std::snprintf(number, sizeof number, "%g", value);
      text += " --" + name + " " + number;
    }
    return text;
  }

  std::string program_;
  std::map<std::string, double> values_;
};

}  // namespace muster::bench
