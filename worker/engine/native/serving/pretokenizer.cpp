#include "worker/engine/native/serving/pretokenizer.h"

#include "sharding/text.h"
#include "worker/engine/native/serving/json_fields.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace muster::worker {
namespace {

using nlohmann::json;

// Source: Radford et al. (2019), the pattern published with the model.
constexpr const char* GPT2_PATTERN =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

Refusal unsupported(const std::string& what) {
  return {.code = RefusalCode::NOT_SUPPORTED_YET, .text = "tokenizer.json: " + what};
}

Result<Done> addRule(Pretokenizer& to, const std::string& pattern, SplitGaps gaps) {
  auto compiled = Regex::compile(pattern);
  if (!compiled) return compiled.refusal();
  to.rules.push_back({std::move(*compiled), gaps});
  return Done{};
}

// A literal text as a pattern that matches it.
std::string escaped(const std::string& literal) {
  std::string pattern;
  for (char c : literal) {
    if (std::string_view(R"(\^$.|?*+()[]{}-#&~ )").find(c) != std::string_view::npos)
      pattern += '\\';
    pattern += c;
  }
  return pattern;
}

Result<Done> addSplit(Pretokenizer& to, const json& value) {
  const json* pattern = fieldOf(value, "pattern");
  std::string text = pattern == nullptr ? "" : textOf(*pattern, "Regex");
  if (text.empty() && pattern != nullptr) text = escaped(textOf(*pattern, "String"));
  if (text.empty()) {
    return Refusal{.code = RefusalCode::MODEL_CONFIG_INVALID,
                   .text = "tokenizer.json: a Split without a pattern"};
  }
  std::string behavior = textOf(value, "behavior");
  bool invert = flagOf(value, "invert");
  if (behavior == "Isolated") return addRule(to, text, SplitGaps::KEEP);
  if (behavior == "Removed" && invert) return addRule(to, text, SplitGaps::DROP);
  return unsupported("Split with behavior " + sharding::inQuotes(behavior) +
                     (invert ? ", inverted" : "") + " is not supported yet");
}

Result<Done> addByteLevel(Pretokenizer& to, const json& value) {
  to.byteLevel = true;
  if (flagOf(value, "add_prefix_space")) {
    if (!to.rules.empty()) {
      return unsupported("ByteLevel with add_prefix_space behind other steps is not supported yet");
    }
    to.spaceBefore = true;
  }
  if (!flagOf(value, "use_regex", true)) return Done{};
  return addRule(to, GPT2_PATTERN, SplitGaps::KEEP);
}

Result<Done> addStep(Pretokenizer& to, const json& value, int depth) {
  std::string type = textOf(value, "type");
  if (type == "ByteLevel") return addByteLevel(to, value);
  if (type == "Split") return addSplit(to, value);
  if (type == "Digits") {
    return addRule(to, flagOf(value, "individual_digits") ? R"(\p{N})" : R"(\p{N}+)",
                   SplitGaps::KEEP);
  }
  if (type == "Sequence" && depth == 0) {
    for (const json& step : listOf(value, "pretokenizers")) {
      auto added = addStep(to, step, depth + 1);
      if (!added) return added;
    }
    return Done{};
  }
  return unsupported("pre_tokenizer " + sharding::inQuotes(type) + " is not supported yet");
}

Result<Done> splitWord(const SplitRule& rule, std::string_view word,
                       std::vector<std::string_view>& into) {
  auto matches = rule.pattern.findAll(word);
  if (!matches) return matches.refusal();
  size_t at = 0;
  for (const TextRange& match : *matches) {
    if (match.begin > at && rule.gaps == SplitGaps::KEEP) {
      into.push_back(word.substr(at, match.begin - at));
    }
    into.push_back(word.substr(match.begin, match.end - match.begin));
    at = match.end;
  }
  if (at < word.size() && rule.gaps == SplitGaps::KEEP) into.push_back(word.substr(at));
  return Done{};
}

}  // namespace

Result<std::vector<std::string_view>> Pretokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words;
  if (!text.empty()) words.push_back(text);
  for (const SplitRule& rule : rules) {
    std::vector<std::string_view> finer;
    for (std::string_view word : words) {
      auto done = splitWord(rule, word, finer);
      if (!done) return done.refusal();
    }
    words = std::move(finer);
  }
  return words;
}

Result<Pretokenizer> readPretokenizer(const json& value) {
  Pretokenizer pretokenizer;
  if (value.is_null()) return pretokenizer;
  auto read = addStep(pretokenizer, value, 0);
  if (!read) return read.refusal();
  return pretokenizer;
}

}  // namespace muster::worker
