// Byte-level BPE: the tokenizers of GPT-2, Llama 3, Qwen and their kin.
#pragma once

#include "worker/engine/native/serving/added_tokens.h"
#include "worker/engine/native/serving/bpe_merges.h"
#include "worker/engine/native/serving/pretokenizer.h"
#include "worker/engine/native/serving/tokenizer.h"

#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace muster::worker {

enum class NormalForm : uint8_t { AS_IS, COMPOSED };

// What a tokenizer.json says, checked.
struct BpeParts {
  std::vector<std::string> bytes;                   // by id; empty where there is no token
  std::unordered_map<std::string, TokenId> ids;     // of the vocabulary, by bytes
  std::array<std::optional<TokenId>, 256> symbols;  // of single bytes
  std::optional<TokenId> unknown;  // for a byte without symbol; else it is left out
  BpeMerges merges;
  bool wholeWordsFirst = false;  // a word that is a token is not made by merges
  NormalForm form = NormalForm::AS_IS;
  Pretokenizer pretokenizer;
  std::vector<AddedToken> added;          // found in the text as it came
  std::vector<AddedToken> addedComposed;  // found after it was brought into its normal form
  std::vector<TokenId> prefix;
};

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeParts parts);

  Result<std::vector<TokenId>> encode(const std::vector<TextPart>& parts) const override;
  const std::vector<TokenId>& prefix() const override { return parts_.prefix; }
  std::string bytesOf(TokenId id) const override;
  bool isSpecial(TokenId id) const override;
  std::optional<TokenId> find(std::string_view content) const override;
  uint32_t size() const override { return static_cast<uint32_t>(parts_.bytes.size()); }

 private:
  Result<Done> encodeText(const std::string& text, std::vector<TokenId>& into) const;
  Result<Done> encodePlain(std::string_view text, std::vector<TokenId>& into) const;
  void encodeWord(std::string_view word, std::vector<TokenId>& into) const;

  BpeParts parts_;
  AddedTokens added_;
  AddedTokens addedComposed_;
  std::unordered_map<std::string, TokenId> addedIds_;
  std::vector<bool> special_;  // by id
};

}  // namespace muster::worker
