// Tokens that stand beside a vocabulary and are found in a text as they are, before anything else:
// "<|im_end|>", "<tool_call>".
#pragma once

#include "worker/engine/native/serving/tokenizer.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::worker {

struct AddedToken {
  TokenId id = 0;
  std::string content;  // not empty
  bool special = false;
  bool stripLeft = false;  // takes the spaces before it with it
  bool stripRight = false;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  struct Piece {
    std::string text;  // empty for a token
    std::optional<TokenId> token;
    bool operator==(const Piece&) const = default;
  };
  // From left to right; where several tokens begin at one place the longest is taken. Special ones
  // are text with AS_TEXT.
  std::vector<Piece> split(std::string_view text, SpecialTokens specials) const;
  // The same over all parts; pieces of text that follow each other are one.
  std::vector<Piece> split(const std::vector<TextPart>& parts) const;

 private:
  const AddedToken* longestAt(std::string_view text, SpecialTokens specials) const;

  std::vector<AddedToken> tokens_;                  // longest first
  std::array<std::vector<size_t>, 256> beginning_;  // places in tokens_, by first byte
};

}  // namespace muster::worker
