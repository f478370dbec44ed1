#include "worker/engine/native/serving/model_text.h"

#include "sharding/json.h"
#include "worker/engine/native/serving/json_fields.h"
#include "worker/engine/native/serving/sentencepiece_tokenizer.h"
#include "worker/engine/native/serving/tokenizer_json.h"
#include "worker/model_inspector.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace muster::worker {
namespace {

using nlohmann::json;

constexpr Bytes CONFIG_MAX = 4_MiB;
constexpr Bytes TOKENIZER_MAX = 64_MiB;
constexpr int DEPTH_MAX = 16;

// Reads the files of one model's folder.
class Folder {
 public:
  Folder(const ModelRoots& roots, const OpenedPath& folder) : roots_(roots), folder_(folder) {}

  // Nothing when there is no such file.
  Result<std::optional<std::string>> text(const std::string& name, Bytes limit) const {
    auto file = roots_.openFile(folder_, name);
    if (!file && file.refusal().code == RefusalCode::MODEL_NOT_FOUND) {
      return std::optional<std::string>();
    }
    if (!file) return file.refusal();
    auto content = readWhole(*file, limit.count);
    if (!content) return content.refusal();
    return std::optional(std::move(*content));
  }

  // An empty object when there is no such file.
  Result<json> object(const std::string& name) const {
    auto content = text(name, CONFIG_MAX);
    if (!content) return content.refusal();
    if (!*content) return json::object();
    return sharding::parseJsonObject(
        **content, {.file = name, .bytesMax = CONFIG_MAX.count, .depthMax = DEPTH_MAX});
  }

 private:
  const ModelRoots& roots_;
  const OpenedPath& folder_;
};

// Of "added_tokens_decoder": {"32000": {"content": "<|im_end|>", "special": true, ..}, ..}
std::vector<AddedToken> addedTokens(const json& config) {
  std::vector<AddedToken> added;
  const json* decoder = fieldOf(config, "added_tokens_decoder");
  if (decoder == nullptr || !decoder->is_object()) return added;
  for (const auto& [key, value] : decoder->items()) {
    TokenId id = 0;
    auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    std::string content = textOf(value, "content");
    if (error != std::errc() || end != key.data() + key.size() || content.empty()) continue;
    added.push_back({.id = id,
                     .content = std::move(content),
                     .special = flagOf(value, "special"),
                     .stripLeft = flagOf(value, "lstrip"),
                     .stripRight = flagOf(value, "rstrip")});
  }
  return added;
}

// tokenizer.json when we can read it whole, else tokenizer.model; null when there is neither.
Result<std::shared_ptr<const Tokenizer>> readTokenizer(const Folder& folder, const json& config) {
  using Read = Result<std::shared_ptr<const Tokenizer>>;
  auto jsonText = folder.text("tokenizer.json", TOKENIZER_MAX);
  if (!jsonText) return jsonText.refusal();
  std::optional<Refusal> refused;
  if (*jsonText) {
    auto tokenizer = readTokenizerJson(**jsonText);
    if (tokenizer) return Read(std::shared_ptr<const Tokenizer>(std::move(*tokenizer)));
    refused = tokenizer.refusal();
    if (refused->code != RefusalCode::NOT_SUPPORTED_YET) return *refused;
  }
  auto model = folder.text("tokenizer.model", TOKENIZER_MAX);
  if (!model) return model.refusal();
  if (*model) {
    auto begin =
        flagOf(config, "add_bos_token", true) ? BeginToken::BEFORE_EACH_PROMPT : BeginToken::NONE;
    auto tokenizer = readSentencePiece(**model, addedTokens(config), begin);
    if (!tokenizer) return tokenizer.refusal();
    return Read(std::shared_ptr<const Tokenizer>(std::move(*tokenizer)));
  }
  if (refused) return *refused;
  return Read(nullptr);
}

// A text, or the one named "default" of a list of named ones.
std::string chatTemplateOf(const json& config) {
  for (const json& named : listOf(config, "chat_template")) {
    if (textOf(named, "name") == "default") return textOf(named, "template");
  }
  return textOf(config, "chat_template");
}

// Written as a text or as an object with its content.
std::string tokenText(const json& config, const char* name) {
  const json* field = fieldOf(config, name);
  if (field == nullptr) return "";
  return field->is_string() ? field->get<std::string>() : textOf(*field, "content");
}

// A number or a list of them.
void collectIds(const json& config, const char* name, std::vector<TokenId>& into) {
  const json* field = fieldOf(config, name);
  if (field == nullptr) return;
  auto take = [&into](const json& value) {
    if (value.is_number_unsigned() && value.get<uint64_t>() <= ~TokenId{0}) {
      into.push_back(value.get<TokenId>());
    }
  };
  take(*field);
  if (field->is_array()) std::for_each(field->begin(), field->end(), take);
}

SamplingDefaults samplingDefaults(const json& generation) {
  SamplingDefaults defaults;
  auto number = [&generation](const char* name) -> std::optional<double> {
    const json* field = fieldOf(generation, name);
    if (field == nullptr || !field->is_number()) return std::nullopt;
    return field->get<double>();
  };
  if (auto value = number("temperature"); value && *value >= 0) defaults.temperature = value;
  if (auto value = number("top_p"); value && *value > 0 && *value <= 1) defaults.topP = value;
  if (auto value = number("top_k"); value && *value >= 0 && *value < 1e9) {
    defaults.topK = static_cast<uint32_t>(*value);
  }
  return defaults;
}

}  // namespace

Result<std::shared_ptr<const ModelText>> readModelText(const ModelRoots& roots,
                                                       const OpenedPath& path) {
  Folder folder(roots, path);
  auto config = folder.object("tokenizer_config.json");
  if (!config) return config.refusal();
  auto generation = folder.object("generation_config.json");
  if (!generation) return generation.refusal();
  auto model = folder.object("config.json");
  if (!model) return model.refusal();
  auto tokenizer = readTokenizer(folder, *config);
  if (!tokenizer) return tokenizer.refusal();
  auto chatFile = folder.text("chat_template.jinja", CONFIG_MAX);
  if (!chatFile) return chatFile.refusal();

  auto text = std::make_shared<ModelText>();
  text->tokenizer = std::move(*tokenizer);
  text->chatTemplate = *chatFile ? **chatFile : chatTemplateOf(*config);
  collectIds(*generation, "eos_token_id", text->endTokens);
  collectIds(*model, "eos_token_id", text->endTokens);
  text->beginText = tokenText(*config, "bos_token");
  text->endText = tokenText(*config, "eos_token");
  if (text->tokenizer != nullptr) {
    if (auto end = text->tokenizer->find(text->endText)) {
      text->endTokens.push_back(*end);
    }
  }
  text->sampling = samplingDefaults(*generation);
  return std::shared_ptr<const ModelText>(std::move(text));
}

}  // namespace muster::worker
