// A tokenizer that somebody made: it is refused, or it encodes any text and gives it back.
#include "tests/fuzz/fuzz.h"
#include "worker/engine/native/serving/tokenizer_json.h"

namespace muster::worker {
namespace {

// ASCII, two and four bytes of UTF-8, white space of all sorts, digits: every branch of a
// pre-tokenizer.
constexpr std::string_view TEXT = "Hello  world's 12345 \xC3\xA9\xF0\x9F\x98\x80\r\n\t<|end|>";

void readAndEncode(std::string_view text) {
  auto tokenizer = readTokenizerJson(text);
  if (!tokenizer) return fuzz::checkRefusal(tokenizer.refusal());
  auto tokens = (*tokenizer)->encode({{.text = std::string(TEXT)}});
  if (!tokens) return fuzz::checkRefusal(tokens.refusal());
  for (TokenId token : *tokens) (*tokenizer)->bytesOf(token);
}

}  // namespace
}  // namespace muster::worker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::worker::readAndEncode(muster::fuzz::textOf(data, size));
  return 0;
}
