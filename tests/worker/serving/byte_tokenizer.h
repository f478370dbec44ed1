// The smallest tokenizer: each byte is a token, and one special token ends an answer.
#pragma once

#include "worker/engine/native/serving/tokenizer.h"

#include <algorithm>

namespace muster::worker {

class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr TokenId END = 256;
  static constexpr std::string_view END_TEXT = "<|im_end|>";
  static constexpr TokenId START = 257;
  static constexpr std::string_view START_TEXT = "<|im_start|>";
  static constexpr uint32_t SIZE = 258;

  Result<std::vector<TokenId>> encode(const std::vector<TextPart>& parts) const override {
    std::vector<TokenId> tokens;
    for (const auto& part : parts) {
      for (char c : part.text) tokens.push_back(static_cast<uint8_t>(c));
    }
    return tokens;
  }
  const std::vector<TokenId>& prefix() const override { return prefix_; }
  std::string bytesOf(TokenId id) const override {
    if (id == END) return std::string(END_TEXT);
    if (id == START) return std::string(START_TEXT);
    return id < 256 ? std::string(1, static_cast<char>(id)) : std::string();
  }
  bool isSpecial(TokenId id) const override { return id == END || id == START; }
  std::optional<TokenId> find(std::string_view content) const override {
    if (content == END_TEXT) return END;
    if (content == START_TEXT) return START;
    if (content.size() == 1) return static_cast<uint8_t>(content[0]);
    return std::nullopt;
  }
  uint32_t size() const override { return SIZE; }

 private:
  std::vector<TokenId> prefix_;
};

}  // namespace muster::worker
