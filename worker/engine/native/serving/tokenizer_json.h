// Reads tokenizer.json, the file in which most models of today keep their tokenizer.
#pragma once

#include "worker/engine/native/serving/tokenizer.h"

#include <memory>
#include <string_view>

namespace muster::worker {

// Byte-level BPE only. Refuses MODEL_CONFIG_INVALID for what is broken and NOT_SUPPORTED_YET,
// naming it, for any part that would tokenize otherwise than its author meant: no file is read
// nearly right. Source: the files published with GPT-2, Llama 3, Qwen 2 and Qwen 3.
Result<std::unique_ptr<Tokenizer>> readTokenizerJson(std::string_view text);

}  // namespace muster::worker
