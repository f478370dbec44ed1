// What a model's folder says about text: its tokenizer, how it writes a chat, where an answer ends.
#pragma once

#include "base/result.h"
#include "worker/engine/native/serving/tokenizer.h"
#include "worker/model_roots.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

// What holds where a request says nothing. Nothing: the default of the API.
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> topP;
  std::optional<uint32_t> topK;
};

struct ModelText {
  std::shared_ptr<const Tokenizer> tokenizer;  // null: the model has none, prompts are token ids
  std::string chatTemplate;                    // as its author wrote it, in Jinja; may be empty
  std::string beginText;                       // contents of the tokens that a template may name
  std::string endText;
  std::vector<TokenId> endTokens;  // each ends an answer
  SamplingDefaults sampling;
};

// Reads tokenizer.json or tokenizer.model, tokenizer_config.json, chat_template.jinja and
// generation_config.json, each where it is there, through the roots. Blocks on the file system.
// Refuses what ModelRoots and the tokenizers refuse, MODEL_CONFIG_INVALID for broken files.
Result<std::shared_ptr<const ModelText>> readModelText(const ModelRoots& roots,
                                                       const OpenedPath& folder);

}  // namespace muster::worker
