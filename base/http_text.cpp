#include "base/http_text.h"

#include "base/units.h"

#include <algorithm>
#include <array>
#include <ctime>

namespace muster {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view reason(int status) {
  struct Row {
    int status;
    std::string_view text;
  };
  static constexpr Row ROWS[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  };
  for (const auto& row : ROWS) {
    if (row.status == status) return row.text;
  }
  return "";  // the reason may be empty; clients go by the number
}

// A handler's header can neither end its line nor start another.
std::string oneLine(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  return text;
}

std::string httpDate() {
  time_t now = std::time(nullptr);
  struct tm utc {};
  gmtime_r(&now, &utc);
  std::array<char, 40> text{};
  strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return text.data();
}

}  // namespace

HeadScanner::State HeadScanner::scan(std::string_view input, size_t limit) {
  const size_t END = std::min(input.size(), limit);
  for (; checked_ < END; ++checked_) {
    auto byte = static_cast<unsigned char>(input[checked_]);
    bool afterReturn = checked_ > lineStart_ && input[checked_ - 1] == '\r';
    if (afterReturn != (byte == '\n')) {
      return fail(400, RefusalCode::INVALID_SYNTAX, "a line of the head does not end with CR LF");
    }
    if (checked_ == lineStart_ && (byte == ' ' || byte == '\t')) {
      return fail(400, RefusalCode::INVALID_SYNTAX, "a line of the head starts with a space");
    }
    bool control = (byte < 0x20 && byte != '\t' && byte != '\r' && byte != '\n') || byte == 0x7f;
    if (control) return fail(400, RefusalCode::INVALID_SYNTAX, "the head has a control character");
    if (byte != '\n') continue;
    bool blank = checked_ == lineStart_ + 1;
    lineStart_ = checked_ + 1;
    if (blank) return State::COMPLETE;
  }
  if (input.size() < limit) return State::MORE;
  return fail(431, RefusalCode::TOO_LARGE, "the head is larger than " + toText(Bytes{limit}));
}

HeadScanner::State HeadScanner::fail(int status, RefusalCode code, std::string text) {
  failure_ = HttpFailure{status, code, std::move(text)};
  return State::FAILED;
}

std::string writeHttpHead(const HttpResponse& response, const std::string& requestId,
                          bool keepAlive, HttpFraming framing) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(reason(response.status)) + "\r\nDate: " + httpDate() + "\r\n";
  bool bodyless = response.status == 204 || response.status == 304;
  if (!bodyless) {
    head += "Content-Type: " + oneLine(response.contentType) + "\r\n";
    if (framing == HttpFraming::LENGTH) {
      head += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    }
    if (framing == HttpFraming::CHUNKED) head += "Transfer-Encoding: chunked\r\n";
  }
  head += "X-Request-Id: " + requestId + "\r\n";
  for (const auto& [name, value] : response.headers) {
    head += oneLine(name) + ": " + oneLine(value) + "\r\n";
  }
  if (!keepAlive) head += "Connection: close\r\n";
  return head + "\r\n";
}

bool isPlainWord(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

bool equalsIgnoringCase(std::string_view text, std::string_view lowerCase) {
  return std::ranges::equal(text, lowerCase, {}, lower);
}

std::string toLowerCase(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

}  // namespace muster
