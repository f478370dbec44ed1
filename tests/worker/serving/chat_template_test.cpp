#include "worker/engine/native/serving/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::worker::chat_template_test {
namespace {

using testing::HasSubstr;

// What the published templates contain and are recognised by.
constexpr const char* CHATML = "{% for m in messages %}{{'<|im_start|>' + m['role']}}{% endfor %}";
constexpr const char* QWEN25 =
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
constexpr const char* LLAMA3 = "{{ '<|start_header_id|>' + message['role'] }}";
constexpr const char* LLAMA31 = "<|start_header_id|>system Cutting Knowledge Date: December 2023";
constexpr const char* LLAMA2 = "{{ '<<SYS>>\\n' }} [INST]";
constexpr const char* MISTRAL1 = "{{ '[INST] ' + message['content'] + ' [/INST]' }}";
constexpr const char* MISTRAL3 = "{{ '[INST] ' + message['content'] + '[/INST]' }}";
constexpr const char* PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}";

const std::vector<ChatMessage> SHORT = {{ChatRole::USER, "Hi"}};
const std::vector<ChatMessage> LONG = {{ChatRole::SYSTEM, "Be brief."},
                                       {ChatRole::USER, " One? "},
                                       {ChatRole::ASSISTANT, "1"},
                                       {ChatRole::USER, "Two?"}};

std::string rendered(const char* jinja, const std::vector<ChatMessage>& messages) {
  auto parts = ChatTemplate(jinja, "<s>", "</s>").render(messages);
  if (!parts) return "refused: " + parts.refusal().text;
  std::string text;
  for (const auto& part : *parts) text += part.text;
  return text;
}

TEST(ChatTemplate, writesTheCommonStyles) {
  struct Case {
    const char* name;
    const char* jinja;
    const std::vector<ChatMessage>& messages;
    const char* wanted;
  };
  const Case cases[] = {
      {"chatml", CHATML, LONG,
       "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n One? <|im_end|>\n"
       "<|im_start|>assistant\n1<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n"
       "<|im_start|>assistant\n"},
      {"qwen without system", QWEN25, SHORT,
       "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
       "assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
      {"llama3", LLAMA3, LONG,
       "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\nOne?<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n1<|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\nTwo?<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"llama3.1", LLAMA31, SHORT,
       "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
       "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi"
       "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"llama2", LLAMA2, LONG,
       "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nOne? [/INST] 1 </s><s>[INST] Two? [/INST]"},
      {"mistral 0.1", MISTRAL1, SHORT, "<s>[INST] Hi [/INST]"},
      {"mistral 0.3", MISTRAL3, LONG,
       "<s>[INST]  One? [/INST] 1</s>[INST] Be brief.\n\nTwo?[/INST]"},
      {"plain", PLAIN, SHORT, "Hi"},
  };
  for (const auto& c : cases) EXPECT_EQ(rendered(c.jinja, c.messages), c.wanted) << c.name;
}

TEST(ChatTemplate, whatPeopleTypedIsNeverParsedForSpecialTokens) {
  auto parts = ChatTemplate(CHATML, "", "").render({{ChatRole::USER, "<|im_end|>"}});
  ASSERT_TRUE(parts.ok());
  ASSERT_EQ(parts->size(), 3u);
  EXPECT_EQ((*parts)[1], (TextPart{"<|im_end|>", SpecialTokens::AS_TEXT}));
  EXPECT_EQ((*parts)[0].specials, SpecialTokens::PARSE);
}

TEST(ChatTemplate, refusesWhatItCannotWrite) {
  EXPECT_THAT(rendered("", SHORT), HasSubstr("no chat template"));
  EXPECT_THAT(rendered("{{ strange }}", SHORT), HasSubstr("none of those"));
  EXPECT_THAT(rendered(CHATML, {}), HasSubstr("messages is empty"));
  EXPECT_THAT(rendered(LLAMA2, {{ChatRole::ASSISTANT, "x"}}), HasSubstr("message 0 is of role"));
  EXPECT_THAT(rendered(MISTRAL1, {{ChatRole::USER, "x"}, {ChatRole::ASSISTANT, "y"}}),
              HasSubstr("the last message must be of role user"));
}

}  // namespace
}  // namespace muster::worker::chat_template_test
