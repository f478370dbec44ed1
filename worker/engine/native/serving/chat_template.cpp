#include "worker/engine/native/serving/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

namespace muster::worker {
namespace {

using Parts = std::vector<TextPart>;
using Messages = std::vector<ChatMessage>;

constexpr std::string_view CHATML_START = "<|im_start|>";
constexpr std::string_view LLAMA3_START = "<|start_header_id|>";
constexpr std::string_view LLAMA2_SYSTEM = "<<SYS>>";
constexpr std::string_view INSTRUCTION = "[INST]";
// Concatenates the contents: what models without roles are given.
constexpr std::string_view PLAIN =
    "{% for message in messages %}{{ message['content'] }}{% endfor %}";

// Qwen's templates put one of these in front of a chat without a system message.
constexpr std::array<std::string_view, 2> QWEN_SYSTEM = {
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful assistant."};
// Llama 3.1's template says this first, whatever the system message.
constexpr std::string_view LLAMA31_MARK = "Cutting Knowledge Date";
constexpr std::string_view LLAMA31_DATES =
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

ChatStyle recognise(std::string_view jinja) {
  if (jinja.empty()) return ChatStyle::NONE;
  if (contains(jinja, LLAMA3_START)) return ChatStyle::LLAMA3;
  if (contains(jinja, CHATML_START)) return ChatStyle::CHATML;
  if (contains(jinja, LLAMA2_SYSTEM)) return ChatStyle::LLAMA2;
  if (contains(jinja, INSTRUCTION)) return ChatStyle::MISTRAL;
  if (jinja == PLAIN) return ChatStyle::PLAIN;
  return ChatStyle::UNKNOWN;
}

std::string_view roleText(ChatRole role) {
  constexpr std::array<std::string_view, 3> TEXTS = {"system", "user", "assistant"};
  return TEXTS.at(static_cast<size_t>(role));
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view SPACES = " \t\n\r\v\f";
  size_t first = text.find_first_not_of(SPACES);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(SPACES) + 1 - first));
}

// Puts a prompt together; what follows each other from one hand is one part.
class Writer {
 public:
  Writer& ours(std::string_view text) { return add(text, SpecialTokens::PARSE); }
  Writer& theirs(std::string_view text) { return add(text, SpecialTokens::AS_TEXT); }
  Parts take() { return std::move(parts_); }

 private:
  Writer& add(std::string_view text, SpecialTokens specials) {
    if (text.empty()) return *this;
    if (!parts_.empty() && parts_.back().specials == specials) {
      parts_.back().text += text;
    } else {
      parts_.push_back({std::string(text), specials});
    }
    return *this;
  }
  Parts parts_;
};

Parts renderPlain(const Messages& messages) {
  Writer writer;
  for (const auto& message : messages) writer.theirs(message.content);
  return writer.take();
}

// Source: the template of Qwen 2.5, and ChatML as published with it.
Parts renderChatml(const Messages& messages, std::string_view jinja) {
  Writer writer;
  auto begin = [&](ChatRole role) -> Writer& {
    return writer.ours(CHATML_START).ours(roleText(role)).ours("\n");
  };
  if (messages.front().role != ChatRole::SYSTEM) {
    auto system = std::find_if(QWEN_SYSTEM.begin(), QWEN_SYSTEM.end(),
                               [&](std::string_view text) { return contains(jinja, text); });
    if (system != QWEN_SYSTEM.end()) begin(ChatRole::SYSTEM).ours(*system).ours("<|im_end|>\n");
  }
  for (const auto& message : messages) {
    begin(message.role).theirs(message.content).ours("<|im_end|>\n");
  }
  begin(ChatRole::ASSISTANT);
  return writer.take();
}

// Source: the templates of Llama 3 and Llama 3.1.
Parts renderLlama3(const Messages& messages, std::string_view jinja, std::string_view beginText) {
  Writer writer;
  writer.ours(beginText);
  auto begin = [&](ChatRole role) -> Writer& {
    return writer.ours(LLAMA3_START).ours(roleText(role)).ours("<|end_header_id|>\n\n");
  };
  bool dated = contains(jinja, LLAMA31_MARK);
  if (dated && messages.front().role != ChatRole::SYSTEM) {
    begin(ChatRole::SYSTEM).ours(LLAMA31_DATES).ours("<|eot_id|>");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    begin(messages[i].role);
    if (dated && i == 0 && messages[i].role == ChatRole::SYSTEM) writer.ours(LLAMA31_DATES);
    writer.theirs(trimmed(messages[i].content)).ours("<|eot_id|>");
  }
  begin(ChatRole::ASSISTANT);
  return writer.take();
}

// A system message, then users and assistants in turn, a user last: what both [INST] styles take.
struct Turns {
  std::string system;
  Messages messages;
};
Result<Turns> inTurns(const Messages& messages) {
  Turns turns;
  size_t first = 0;
  if (messages.front().role == ChatRole::SYSTEM) {
    turns.system = messages.front().content;
    first = 1;
  }
  for (size_t i = first; i < messages.size(); ++i) {
    ChatRole wanted = (i - first) % 2 == 0 ? ChatRole::USER : ChatRole::ASSISTANT;
    if (messages[i].role != wanted) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "message " + std::to_string(i) + " is of role " +
                         std::string(roleText(messages[i].role)) +
                         "; this model takes user and assistant in turn, and a system message only "
                         "in front"};
    }
    turns.messages.push_back(messages[i]);
  }
  if (turns.messages.size() % 2 == 0) {
    return Refusal{RefusalCode::INVALID_VALUE, "the last message must be of role user"};
  }
  return turns;
}

struct EdgeTokens {
  std::string_view begin;
  std::string_view end;
};

// Source: the template of Llama 2 Chat.
Parts renderLlama2(const Turns& turns, EdgeTokens tokens) {
  Writer writer;
  for (size_t i = 0; i < turns.messages.size(); ++i) {
    const auto& message = turns.messages[i];
    if (message.role == ChatRole::ASSISTANT) {
      writer.ours(" ").theirs(trimmed(message.content)).ours(" ").ours(tokens.end);
      continue;
    }
    writer.ours(tokens.begin).ours("[INST] ");
    if (i == 0 && !turns.system.empty()) {
      writer.ours("<<SYS>>\n").theirs(turns.system).ours("\n<</SYS>>\n\n");
    }
    writer.theirs(trimmed(message.content)).ours(" [/INST]");
  }
  return writer.take();
}

// The templates of Mistral's versions differ in the spaces round the marks, and say so.
// Source: the templates of Mistral 7B Instruct 0.1 to 0.3 and Mistral Nemo.
Parts renderMistral(const Turns& turns, std::string_view jinja, EdgeTokens tokens) {
  std::string_view open = contains(jinja, "[INST] ") ? "[INST] " : "[INST]";
  std::string_view close = contains(jinja, " [/INST]") ? " [/INST]" : "[/INST]";
  Writer writer;
  writer.ours(tokens.begin);
  for (size_t i = 0; i < turns.messages.size(); ++i) {
    const auto& message = turns.messages[i];
    if (message.role == ChatRole::ASSISTANT) {
      writer.ours(close == "[/INST]" && open == "[INST] " ? " " : "");
      writer.theirs(message.content).ours(tokens.end);
      continue;
    }
    writer.ours(open);
    bool last = i + 1 == turns.messages.size();
    if (last && !turns.system.empty()) writer.theirs(turns.system).ours("\n\n");
    writer.theirs(message.content).ours(close);
  }
  return writer.take();
}

}  // namespace

ChatTemplate::ChatTemplate(std::string jinja, std::string beginText, std::string endText)
    : jinja_(std::move(jinja)),
      beginText_(std::move(beginText)),
      endText_(std::move(endText)),
      style_(recognise(jinja_)) {}

Result<Parts> ChatTemplate::render(const Messages& messages) const {
  if (messages.empty()) return Refusal{RefusalCode::INVALID_VALUE, "messages is empty"};
  EdgeTokens tokens{beginText_, endText_};
  switch (style_) {
    case ChatStyle::NONE:
      return Refusal{RefusalCode::NOT_SUPPORTED_YET,
                     "the model has no chat template; ask /v1/completions"};
    case ChatStyle::UNKNOWN:
      return Refusal{RefusalCode::NOT_SUPPORTED_YET,
                     "the model's chat template is none of those the native engine writes (chatml, "
                     "llama2, llama3, mistral, qwen); ask /v1/completions"};
    case ChatStyle::PLAIN:
      return renderPlain(messages);
    case ChatStyle::CHATML:
      return renderChatml(messages, jinja_);
    case ChatStyle::LLAMA3:
      return renderLlama3(messages, jinja_, beginText_.empty() ? "<|begin_of_text|>" : beginText_);
    case ChatStyle::LLAMA2:
    case ChatStyle::MISTRAL:
      break;
  }
  auto turns = inTurns(messages);
  if (!turns) return turns.refusal();
  if (style_ == ChatStyle::LLAMA2) return renderLlama2(*turns, tokens);
  return renderMistral(*turns, jinja_, tokens);
}

}  // namespace muster::worker
