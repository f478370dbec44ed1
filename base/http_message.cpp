#include "base/http_message.h"

#include <nlohmann/json.hpp>

namespace muster {
namespace {

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    int high = hexDigit(text[i + 1]);
    int low = hexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

nlohmann::ordered_json toJson(const InputError& error) {
  return {{"path", error.path},
          {"line", error.line},
          {"column", error.column},
          {"message", error.message},
          {"hint", error.hint}};
}

}  // namespace

HttpResponse problemResponse(const Refusal& refusal, const std::string& requestId,
                             std::optional<int> status) {
  const auto& info = refusalInfo(refusal.code);
  HttpResponse response;
  response.status = status.value_or(info.httpStatus);
  response.contentType = "application/problem+json";
  auto errors = nlohmann::ordered_json::array();
  for (const auto& error : refusal.errors) errors.push_back(toJson(error));
  nlohmann::ordered_json problem = {
      {"type", "about:blank"},   {"title", info.title},          {"status", response.status},
      {"detail", refusal.text},  {"code", toText(refusal.code)}, {"retryable", info.retryable},
      {"request_id", requestId}, {"errors", std::move(errors)},  {"fixes", refusal.fixes}};
  response.body =
      problem.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (info.retryable && response.status == 503) response.headers["Retry-After"] = "1";
  return response;
}

Result<std::map<std::string, std::string>> parseQuery(std::string_view text) {
  std::map<std::string, std::string> query;
  while (!text.empty()) {
    auto part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (part.empty()) continue;
    auto equals = part.find('=');
    auto name = decode(part.substr(0, equals));
    auto value = equals == std::string_view::npos ? std::string() : decode(part.substr(equals + 1));
    if (!name || !value) {
      return Refusal{RefusalCode::INVALID_SYNTAX,
                     "query \"" + std::string(part) + "\" has a broken % escape"};
    }
    if (!query.emplace(*name, std::move(*value)).second) {
      return Refusal{RefusalCode::DUPLICATE_KEY, "query names \"" + *name + "\" twice"};
    }
  }
  return query;
}

}  // namespace muster
