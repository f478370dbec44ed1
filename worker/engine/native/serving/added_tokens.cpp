#include "worker/engine/native/serving/added_tokens.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace muster::worker {
namespace {

constexpr std::string_view SPACES = " \t\n\v\f\r";

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    beginning_[static_cast<uint8_t>(tokens_[i].content[0])].push_back(i);
  }
}

const AddedToken* AddedTokens::longestAt(std::string_view text, SpecialTokens specials) const {
  for (size_t place : beginning_[static_cast<uint8_t>(text[0])]) {
    const AddedToken& token = tokens_[place];
    if (token.special && specials == SpecialTokens::AS_TEXT) continue;
    if (text.starts_with(token.content)) return &token;
  }
  return nullptr;
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text,
                                                   SpecialTokens specials) const {
  std::vector<Piece> pieces;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = longestAt(text.substr(at), specials);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::string_view before = text.substr(begin, at - begin);
    if (token->stripLeft) before = before.substr(0, before.find_last_not_of(SPACES) + 1);
    if (!before.empty()) pieces.push_back({std::string(before), std::nullopt});
    pieces.push_back({{}, token->id});
    at += token->content.size();
    if (token->stripRight) at = std::min(text.find_first_not_of(SPACES, at), text.size());
    begin = at;
  }
  if (begin < text.size()) pieces.push_back({std::string(text.substr(begin)), std::nullopt});
  return pieces;
}

std::vector<AddedTokens::Piece> AddedTokens::split(const std::vector<TextPart>& parts) const {
  std::vector<Piece> pieces;
  for (const TextPart& part : parts) {
    for (Piece& piece : split(part.text, part.specials)) {
      bool follows = !piece.token && !pieces.empty() && !pieces.back().token;
      if (follows) {
        pieces.back().text += piece.text;
      } else {
        pieces.push_back(std::move(piece));
      }
    }
  }
  return pieces;
}

}  // namespace muster::worker
