// The text of HTTP heads, read strictly and written safely. Not for others than the HTTP adapter.
#pragma once

#include "base/http_message.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

// A request that cannot be served: the answer, after which the connection is closed.
struct HttpFailure {
  int status = 400;
  RefusalCode code = RefusalCode::INVALID_SYNTAX;
  std::string text;
};

// Finds the end of a head and refuses at the first byte what a lenient reader would take in two
// ways: bare LF or CR, folded lines, control characters. Cost: each byte is looked at once.
class HeadScanner {
 public:
  enum class State { MORE, COMPLETE, FAILED };

  // `input` starts with the head and only grows from call to call; `limit` in bytes.
  State scan(std::string_view input, size_t limit);
  size_t end() const { return lineStart_; }  // of the head, once COMPLETE
  bool untouched() const { return checked_ == 0; }
  const HttpFailure& failure() const { return *failure_; }

 private:
  State fail(int status, RefusalCode code, std::string text);

  size_t lineStart_ = 0;
  size_t checked_ = 0;  // bytes before this are known to be fine
  std::optional<HttpFailure> failure_;
};

// How the client finds the end of a body: its length, the last chunk, or the end of the connection.
enum class HttpFraming { LENGTH, CHUNKED, UNTIL_CLOSE };

// Status line and headers with the blank line after them.
std::string writeHttpHead(const HttpResponse& response, const std::string& requestId,
                          bool keepAlive, HttpFraming framing = HttpFraming::LENGTH);

// Letters, digits, '-', '_' and '.', at most 64: what is taken as a request id and written to logs.
bool isPlainWord(std::string_view text);
// `lower` in lower case.
bool equalsIgnoringCase(std::string_view text, std::string_view lower);
std::string toLowerCase(std::string_view text);

}  // namespace muster
