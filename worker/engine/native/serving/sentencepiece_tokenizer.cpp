#include "worker/engine/native/serving/sentencepiece_tokenizer.h"

#include "worker/engine/native/serving/utf8.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace muster::worker {
namespace {

constexpr std::string_view SPACE = "\xE2\x96\x81";  // U+2581 stands for a space inside pieces
constexpr TokenId ADDED_MAX = 1 << 22;

// "<0x0A>"
std::string byteOf(const std::string& piece) {
  unsigned value = 0;
  if (piece.size() == 6) std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return std::string(1, static_cast<char>(value));
}

std::string withSpaces(std::string_view piece) {
  std::string text;
  for (size_t at; (at = piece.find(SPACE)) != std::string_view::npos;) {
    text += piece.substr(0, at);
    text += ' ';
    piece.remove_prefix(at + SPACE.size());
  }
  return text.append(piece);
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  // `model` must be loaded already.
  SentencePieceTokenizer(std::unique_ptr<sentencepiece::SentencePieceProcessor> model,
                         std::vector<AddedToken> added, BeginToken beginToken)
      : model_(std::move(model)) {
    auto pieces = static_cast<TokenId>(model_->GetPieceSize());
    size_ = pieces;
    for (const AddedToken& token : added) {
      size_ = std::max(size_, token.id + 1);
      contents_[token.id] = token.content;
    }
    for (TokenId id = 0; id < pieces; ++id) {
      if (model_->IsControl(static_cast<int>(id)) && contents_.count(id) == 0) {
        added.push_back(
            {.id = id, .content = model_->IdToPiece(static_cast<int>(id)), .special = true});
        contents_[id] = added.back().content;
      }
    }
    std::erase_if(added, [](const AddedToken& token) { return token.content.empty(); });
    special_.resize(size_, false);
    for (const AddedToken& token : added) special_[token.id] = token.special;
    added_ = AddedTokens(std::move(added));
    if (beginToken == BeginToken::BEFORE_EACH_PROMPT && model_->bos_id() >= 0) {
      prefix_.push_back(static_cast<TokenId>(model_->bos_id()));
    }
  }

  Result<std::vector<TokenId>> encode(const std::vector<TextPart>& parts) const override {
    std::vector<TokenId> tokens;
    for (const TextPart& part : parts) {
      if (!isUtf8(part.text)) {
        return Refusal{RefusalCode::INVALID_VALUE, "the text is not valid UTF-8"};
      }
    }
    for (const auto& piece : added_.split(parts)) {
      if (piece.token) {
        tokens.push_back(*piece.token);
        continue;
      }
      std::vector<int> ids;
      auto status = model_->Encode(piece.text, &ids);
      if (!status.ok()) return Refusal{RefusalCode::INVALID_VALUE, status.ToString()};
      for (int id : ids) tokens.push_back(static_cast<TokenId>(id));
    }
    return tokens;
  }

  const std::vector<TokenId>& prefix() const override { return prefix_; }

  std::string bytesOf(TokenId id) const override {
    if (auto content = contents_.find(id); content != contents_.end()) return content->second;
    if (id >= static_cast<TokenId>(model_->GetPieceSize())) return {};
    const std::string& piece = model_->IdToPiece(static_cast<int>(id));
    if (model_->IsByte(static_cast<int>(id))) return byteOf(piece);
    return withSpaces(piece);
  }

  bool isSpecial(TokenId id) const override { return id < size_ && special_[id]; }

  std::optional<TokenId> find(std::string_view content) const override {
    for (const auto& [id, text] : contents_) {
      if (text == content) return id;
    }
    int id = model_->PieceToId(content);
    if (id == model_->unk_id()) return std::nullopt;
    return static_cast<TokenId>(id);
  }

  uint32_t size() const override { return size_; }

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> model_;
  AddedTokens added_;
  std::map<TokenId, std::string> contents_;  // of control and added tokens
  std::vector<bool> special_;                // by id
  std::vector<TokenId> prefix_;
  TokenId size_ = 0;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> readSentencePiece(std::string_view model,
                                                     std::vector<AddedToken> added,
                                                     BeginToken beginToken) {
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  auto status = processor->LoadFromSerializedProto(model);
  if (!status.ok()) {
    return Refusal{RefusalCode::MODEL_CONFIG_INVALID, "tokenizer.model: " + status.ToString()};
  }
  for (const AddedToken& token : added) {
    if (token.id >= ADDED_MAX) {
      return Refusal{RefusalCode::MODEL_CONFIG_INVALID,
                     "tokenizer_config.json: an added token has id " + std::to_string(token.id)};
    }
  }
  return std::unique_ptr<Tokenizer>(
      std::make_unique<SentencePieceTokenizer>(std::move(processor), std::move(added), beginToken));
}

}  // namespace muster::worker
