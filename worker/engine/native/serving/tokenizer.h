// Text into a model's tokens and back.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::worker {

using TokenId = uint32_t;

// What the content of a special token, such as "<|im_end|>", means inside a text: what people typed
// is text, what a template or a raw prompt says is the token.
enum class SpecialTokens : uint8_t { AS_TEXT, PARSE };

// Texts that follow each other are one text for the merges, whoever wrote them.
struct TextPart {
  std::string text;
  SpecialTokens specials = SpecialTokens::AS_TEXT;
  bool operator==(const TextPart&) const = default;
};

// Immutable once made; may be used from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() noexcept(false) = default;

  // The tokens of the parts alone, without prefix(). Refuses INVALID_VALUE for what is not UTF-8,
  // and TOO_LARGE for what the model's own pattern cannot split within its limits.
  virtual Result<std::vector<TokenId>> encode(const std::vector<TextPart>& parts) const = 0;
  // What belongs before each prompt, usually one begin-of-sequence token; may be empty.
  virtual const std::vector<TokenId>& prefix() const = 0;

  // The bytes that a token stands for: possibly half a character. Empty for an unknown id.
  virtual std::string bytesOf(TokenId id) const = 0;
  virtual bool isSpecial(TokenId id) const = 0;  // not shown to people
  // The token whose whole content this is, special ones included.
  virtual std::optional<TokenId> find(std::string_view content) const = 0;
  virtual uint32_t size() const = 0;  // the highest id + 1
};

}  // namespace muster::worker
