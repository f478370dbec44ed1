// How a model wants a chat written down. The templates in model folders are programs in Jinja; the
// common ones are recognised and written here, others are refused by name of what was found.
#pragma once

#include "base/result.h"
#include "worker/engine/native/serving/tokenizer.h"

#include <string>
#include <string_view>
#include <vector>

namespace muster::worker {

enum class ChatRole : uint8_t { SYSTEM, USER, ASSISTANT };

struct ChatMessage {
  ChatRole role = ChatRole::USER;
  std::string content;
};

enum class ChatStyle : uint8_t { NONE, UNKNOWN, PLAIN, CHATML, LLAMA2, LLAMA3, MISTRAL };

class ChatTemplate {
 public:
  // `jinja`: as the model's author wrote it; empty: there is none. `beginText`, `endText`: contents
  // of the model's begin and end tokens.
  ChatTemplate(std::string jinja, std::string beginText, std::string endText);

  ChatStyle style() const { return style_; }

  // The prompt that asks for the assistant's next message, with every token it begins with. What
  // people wrote is never parsed for special tokens. Refuses NOT_SUPPORTED_YET for a model without
  // a template or with an unknown one, INVALID_VALUE for roles in an order the model cannot take.
  Result<std::vector<TextPart>> render(const std::vector<ChatMessage>& messages) const;

 private:
  std::string jinja_;
  std::string beginText_;
  std::string endText_;
  ChatStyle style_;
};

}  // namespace muster::worker
