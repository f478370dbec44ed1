// Cuts a text into the words inside which merges happen. Source: the pre_tokenizer section of
// tokenizer.json, as the published tokenizers of GPT-2, Llama 3 and Qwen use it.
#pragma once

#include "worker/engine/native/serving/regex.h"

#include <nlohmann/json_fwd.hpp>

#include <string_view>
#include <vector>

namespace muster::worker {

// What becomes of the text between the matches of a rule.
enum class SplitGaps : uint8_t { KEEP, DROP };

struct SplitRule {
  Regex pattern;
  SplitGaps gaps = SplitGaps::KEEP;  // KEEP: each gap is a word, as each match is
};

// One rule after another, each inside the words of those before.
struct Pretokenizer {
  std::vector<SplitRule> rules;
  bool byteLevel = false;    // the words are merged as bytes
  bool spaceBefore = false;  // a text that does not begin with a space gets one

  // `text` must be valid UTF-8. The words are views into it; none is empty.
  Result<std::vector<std::string_view>> split(std::string_view text) const;
};

// Of the value of "pre_tokenizer": ByteLevel, Split, Digits, Sequence of them, or null. Refuses
// NOT_SUPPORTED_YET naming another type or behaviour, MODEL_CONFIG_INVALID for a wrong field.
Result<Pretokenizer> readPretokenizer(const nlohmann::json& value);

}  // namespace muster::worker
