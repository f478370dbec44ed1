// What the gateway must know of a request's body: its model, and how its prompt begins. Pure.
#pragma once

#include "gateway/openai_error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace muster::gateway {

struct CompletionRequest {
  std::string model;
  bool stream = false;
  // Of the prompt's beginning: all messages up to the first of the user, or the first bytes of the
  // prompt or input. Later turns of a conversation have the same.
  uint64_t prefix = 0;
};

struct PrefixRules {
  size_t bytes = 1024;  // of texts that go into the hash
};

// Reads bodies, one after the other; keeps its memory from one to the next.
class CompletionReader {
 public:
  explicit CompletionReader(PrefixRules rules);
  ~CompletionReader();

  // Reads the whole body, whatever it needs of it: what is no JSON is refused, and so are two
  // models. Cost about 12 us per 100 KB.
  std::variant<CompletionRequest, OpenAiError> read(const std::string& body);

 private:
  struct Parser;

  PrefixRules rules_;
  std::unique_ptr<Parser> parser_;
};

// The body with another model, every other byte as it was. `body` has been read well. Nothing where
// the key is spelt with escapes.
std::optional<std::string> withModel(const std::string& body, std::string_view model);

}  // namespace muster::gateway
