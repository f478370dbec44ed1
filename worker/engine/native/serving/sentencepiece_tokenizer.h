// SentencePiece models: the tokenizer.model of Llama 2, Mistral and their kin. The adapter to
// libsentencepiece.
#pragma once

#include "worker/engine/native/serving/added_tokens.h"
#include "worker/engine/native/serving/tokenizer.h"

#include <memory>
#include <string_view>
#include <vector>

namespace muster::worker {

enum class BeginToken : uint8_t { NONE, BEFORE_EACH_PROMPT };

// `model`: the bytes of the file. `added`: tokens beyond the model's own, from
// tokenizer_config.json. Refuses MODEL_CONFIG_INVALID for what is no such model.
Result<std::unique_ptr<Tokenizer>> readSentencePiece(std::string_view model,
                                                     std::vector<AddedToken> added,
                                                     BeginToken beginToken);

}  // namespace muster::worker
