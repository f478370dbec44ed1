#include "worker/engine/native/serving/tokenizer_json.h"

#include "sharding/json.h"
#include "sharding/text.h"
#include "worker/engine/native/serving/bpe_tokenizer.h"
#include "worker/engine/native/serving/byte_alphabet.h"
#include "worker/engine/native/serving/json_fields.h"
#include "worker/engine/native/serving/normal_form.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace muster::worker {
namespace {

using nlohmann::json;

const sharding::JsonLimits FILE_LIMITS{.file = "tokenizer.json",
                                       .code = RefusalCode::MODEL_CONFIG_INVALID,
                                       .bytesMax = uint64_t{64} << 20,
                                       .depthMax = 16};
constexpr uint32_t TOKENS_MAX = 1 << 22;  // no vocabulary is near it

Refusal invalid(const std::string& what) {
  return {.code = RefusalCode::MODEL_CONFIG_INVALID, .text = "tokenizer.json: " + what};
}
Refusal notSupportedYet(const std::string& what) {
  return {.code = RefusalCode::NOT_SUPPORTED_YET,
          .text = "tokenizer.json: " + what + " is not supported yet"};
}

Result<TokenId> readId(const json& value, const std::string& of) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= TOKENS_MAX) {
    return invalid("the id of token " + sharding::inQuotes(of) + " is " + value.dump() +
                   "; wanted a number below " + std::to_string(TOKENS_MAX));
  }
  return value.get<TokenId>();
}

void setBytes(BpeParts& parts, TokenId id, std::string bytes) {
  if (id >= parts.bytes.size()) parts.bytes.resize(id + size_t{1});
  parts.bytes[id] = std::move(bytes);
}

Result<Done> readVocabulary(BpeParts& parts, const json& model) {
  const json* vocabulary = fieldOf(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) return invalid("model.vocab is no object");
  parts.ids.reserve(vocabulary->size());
  for (const auto& [text, value] : vocabulary->items()) {
    auto id = readId(value, text);
    if (!id) return id.refusal();
    auto spelled = fromAlphabet(text);
    setBytes(parts, *id, spelled.value_or(text));
    if (spelled) parts.ids.emplace(*spelled, *id);  // no merge can make any other
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    auto symbol = parts.ids.find(std::string(1, static_cast<char>(byte)));
    if (symbol != parts.ids.end()) parts.symbols[byte] = symbol->second;
  }
  return Done{};
}

// "a b" in older files, ["a", "b"] in newer ones; both in the alphabet of bytes.
Result<std::pair<std::string, std::string>> mergeSides(const json& value) {
  std::string left;
  std::string right;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    size_t space = text.find(' ');
    if (space != std::string::npos) {
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
  } else if (value.is_array() && value.size() == 2 && value[0].is_string() &&
             value[1].is_string()) {
    left = value[0].get<std::string>();
    right = value[1].get<std::string>();
  }
  auto leftBytes = fromAlphabet(left);
  auto rightBytes = fromAlphabet(right);
  if (!leftBytes || !rightBytes || left.empty() || right.empty()) {
    return invalid("merge " + sharding::inQuotes(value.dump()) + " is no pair of tokens");
  }
  return std::pair(*leftBytes, *rightBytes);
}

Result<Done> readMerges(BpeParts& parts, const json& model) {
  const json& merges = listOf(model, "merges");
  parts.merges.reserve(merges.size());
  uint32_t rank = 0;
  for (const json& value : merges) {
    auto sides = mergeSides(value);
    if (!sides) return sides.refusal();
    auto left = parts.ids.find(sides->first);
    auto right = parts.ids.find(sides->second);
    auto joined = parts.ids.find(sides->first + sides->second);
    if (left == parts.ids.end() || right == parts.ids.end() || joined == parts.ids.end()) {
      return invalid("merge " + sharding::inQuotes(value.dump()) +
                     " names a token outside the vocabulary");
    }
    parts.merges.add(left->second, right->second, {rank++, joined->second});
  }
  return Done{};
}

Result<Done> readModel(BpeParts& parts, const json& root) {
  static const json NOTHING;
  const json* field = fieldOf(root, "model");
  const json& model = field == nullptr ? NOTHING : *field;
  std::string type = textOf(model, "type");
  if (type != "BPE" && !(type.empty() && fieldOf(model, "merges") != nullptr)) {
    return notSupportedYet("model " + sharding::inQuotes(type));
  }
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!textOf(model, name).empty()) return notSupportedYet("model." + std::string(name));
  }
  const json* dropout = fieldOf(model, "dropout");
  if (dropout != nullptr && dropout->is_number() && dropout->get<double>() != 0) {
    return notSupportedYet("model.dropout");
  }
  auto read = readVocabulary(parts, model);
  if (!read) return read;
  parts.wholeWordsFirst = flagOf(model, "ignore_merges");
  std::string unknown = textOf(model, "unk_token");
  if (auto found = parts.ids.find(unknown); !unknown.empty() && found != parts.ids.end()) {
    parts.unknown = found->second;
  }
  return readMerges(parts, model);
}

Result<Done> readNormalizer(BpeParts& parts, const json& value, int depth = 0) {
  if (value.is_null()) return Done{};
  std::string type = textOf(value, "type");
  if (type == "NFC") {
    parts.form = NormalForm::COMPOSED;
    return Done{};
  }
  if (type != "Sequence" || depth > 0)
    return notSupportedYet("normalizer " + sharding::inQuotes(type));
  for (const json& step : listOf(value, "normalizers")) {
    auto read = readNormalizer(parts, step, depth + 1);
    if (!read) return read;
  }
  return Done{};
}

Result<Done> readAdded(BpeParts& parts, const json& root) {
  for (const json& value : listOf(root, "added_tokens")) {
    AddedToken token{.content = textOf(value, "content"),
                     .special = flagOf(value, "special"),
                     .stripLeft = flagOf(value, "lstrip"),
                     .stripRight = flagOf(value, "rstrip")};
    const json* idField = fieldOf(value, "id");
    if (token.content.empty() || idField == nullptr) {
      return invalid("an added token without id or content");
    }
    auto id = readId(*idField, token.content);
    if (!id) return id.refusal();
    token.id = *id;
    if (flagOf(value, "single_word")) {
      return notSupportedYet("added token " + sharding::inQuotes(token.content) +
                             " with single_word");
    }
    setBytes(parts, token.id, token.content);
    bool composedFirst = flagOf(value, "normalized") && !token.special;
    if (composedFirst && parts.form == NormalForm::COMPOSED) {
      token.content = composed(token.content);
      parts.addedComposed.push_back(std::move(token));
    } else {
      parts.added.push_back(std::move(token));
    }
  }
  return Done{};
}

// What TemplateProcessing puts around one text: only what stands before it is taken.
Result<Done> readTemplate(BpeParts& parts, const json& value) {
  static const json NOTHING;
  const json* special = fieldOf(value, "special_tokens");
  bool seenText = false;
  for (const json& item : listOf(value, "single")) {
    if (fieldOf(item, "Sequence") != nullptr) {
      seenText = true;
      continue;
    }
    const json* token = fieldOf(item, "SpecialToken");
    if (token == nullptr) return invalid("an item of post_processor.single is unknown");
    if (seenText) return notSupportedYet("post_processor with a token behind the text");
    std::string name = textOf(*token, "id");
    const json* entry = special == nullptr ? nullptr : fieldOf(*special, name.c_str());
    const json& ids = listOf(entry == nullptr ? NOTHING : *entry, "ids");
    if (ids.empty())
      return invalid("post_processor names " + sharding::inQuotes(name) + " without ids");
    for (const json& number : ids) {
      auto id = readId(number, name);
      if (!id) return id.refusal();
      if (*id >= parts.bytes.size()) return invalid("post_processor names an unknown token");
      parts.prefix.push_back(*id);
    }
  }
  return Done{};
}

Result<Done> readPostProcessor(BpeParts& parts, const json& value, int depth = 0) {
  if (value.is_null()) return Done{};
  std::string type = textOf(value, "type");
  if (type == "ByteLevel") return Done{};  // moves offsets, no tokens
  if (type == "TemplateProcessing") return readTemplate(parts, value);
  if (type != "Sequence" || depth > 0)
    return notSupportedYet("post_processor " + sharding::inQuotes(type));
  for (const json& step : listOf(value, "processors")) {
    auto read = readPostProcessor(parts, step, depth + 1);
    if (!read) return read;
  }
  return Done{};
}

Result<BpeParts> readParts(const json& root) {
  static const json NOTHING;
  auto part = [&root](const char* name) -> const json& {
    const json* field = fieldOf(root, name);
    return field == nullptr ? NOTHING : *field;
  };
  BpeParts parts;
  auto pretokenizer = readPretokenizer(part("pre_tokenizer"));
  if (!pretokenizer) return pretokenizer.refusal();
  if (!pretokenizer->byteLevel) return notSupportedYet("a tokenizer that is not byte-level");
  parts.pretokenizer = std::move(*pretokenizer);
  auto normalizer = readNormalizer(parts, part("normalizer"));
  if (!normalizer) return normalizer.refusal();
  auto model = readModel(parts, root);
  if (!model) return model.refusal();
  auto added = readAdded(parts, root);
  if (!added) return added.refusal();
  auto post = readPostProcessor(parts, part("post_processor"));
  if (!post) return post.refusal();
  return parts;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> readTokenizerJson(std::string_view text) {
  auto root = sharding::parseJsonObject(text, FILE_LIMITS);
  if (!root) return root.refusal();
  auto parts = readParts(*root);
  if (!parts) return parts.refusal();
  return std::unique_ptr<Tokenizer>(std::make_unique<BpeTokenizer>(std::move(*parts)));
}

}  // namespace muster::worker
