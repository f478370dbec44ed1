#include "worker/engine/native/serving/bpe_tokenizer.h"

#include "worker/engine/native/serving/normal_form.h"
#include "worker/engine/native/serving/utf8.h"

#include <utility>

namespace muster::worker {

BpeTokenizer::BpeTokenizer(BpeParts parts)
    : parts_(std::move(parts)),
      added_(parts_.added),
      addedComposed_(parts_.addedComposed),
      special_(parts_.bytes.size(), false) {
  for (const auto* list : {&parts_.added, &parts_.addedComposed}) {
    for (const AddedToken& token : *list) {
      addedIds_.emplace(token.content, token.id);
      special_[token.id] = token.special;
    }
  }
}

Result<std::vector<TokenId>> BpeTokenizer::encode(const std::vector<TextPart>& parts) const {
  for (const TextPart& part : parts) {
    if (!isUtf8(part.text)) {
      return Refusal{RefusalCode::INVALID_VALUE, "the text is not valid UTF-8"};
    }
  }
  std::vector<TokenId> tokens;
  for (const auto& piece : added_.split(parts)) {
    auto done = piece.token ? Result<Done>(Done{}) : encodeText(piece.text, tokens);
    if (!done) return done.refusal();
    if (piece.token) tokens.push_back(*piece.token);
  }
  return tokens;
}

// A text without tokens that are found before it is brought into its normal form.
Result<Done> BpeTokenizer::encodeText(const std::string& text, std::vector<TokenId>& into) const {
  if (parts_.form == NormalForm::AS_IS) return encodePlain(text, into);
  for (const auto& piece : addedComposed_.split(composed(text), SpecialTokens::AS_TEXT)) {
    auto done = piece.token ? Result<Done>(Done{}) : encodePlain(piece.text, into);
    if (!done) return done;
    if (piece.token) into.push_back(*piece.token);
  }
  return Done{};
}

Result<Done> BpeTokenizer::encodePlain(std::string_view text, std::vector<TokenId>& into) const {
  std::string spaced;
  if (parts_.pretokenizer.spaceBefore && !text.starts_with(' ')) {
    spaced = " " + std::string(text);
    text = spaced;
  }
  auto words = parts_.pretokenizer.split(text);
  if (!words) return words.refusal();
  for (std::string_view word : *words) encodeWord(word, into);
  return Done{};
}

void BpeTokenizer::encodeWord(std::string_view word, std::vector<TokenId>& into) const {
  if (parts_.wholeWordsFirst) {
    auto whole = parts_.ids.find(std::string(word));
    if (whole != parts_.ids.end()) {
      into.push_back(whole->second);
      return;
    }
  }
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  for (char c : word) {
    auto symbol = parts_.symbols[static_cast<uint8_t>(c)];
    if (!symbol) symbol = parts_.unknown;
    if (symbol) symbols.push_back(*symbol);
  }
  symbols = parts_.merges.apply(std::move(symbols));
  into.insert(into.end(), symbols.begin(), symbols.end());
}

std::string BpeTokenizer::bytesOf(TokenId id) const {
  return id < parts_.bytes.size() ? parts_.bytes[id] : std::string();
}

bool BpeTokenizer::isSpecial(TokenId id) const { return id < special_.size() && special_[id]; }

std::optional<TokenId> BpeTokenizer::find(std::string_view content) const {
  std::string key(content);
  auto added = addedIds_.find(key);
  if (added != addedIds_.end()) return added->second;
  auto plain = parts_.ids.find(key);
  if (plain != parts_.ids.end()) return plain->second;
  return std::nullopt;
}

}  // namespace muster::worker
