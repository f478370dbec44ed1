#include "base/log.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <cstdio>
#include <mutex>

namespace muster {
namespace {

spdlog::level::level_enum toSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::DEBUG:
      return spdlog::level::debug;
    case LogLevel::INFO:
      return spdlog::level::info;
    case LogLevel::WARN:
      return spdlog::level::warn;
    case LogLevel::ERROR:
      return spdlog::level::err;
  }
  KJ_UNREACHABLE;
}

// Hands finished lines, without their end of line, to a function.
class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> output)
      : output_(std::move(output)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    output_(text.substr(0, text.find_last_not_of('\n') + 1));
  }
  void flush_() override {}

 private:
  std::function<void(std::string_view)> output_;
};

// A JSON string with quotes. Bytes that are no UTF-8 become U+FFFD: a log line is never refused.
std::string quoted(const std::string& text) {
  using Json = nlohmann::json;
  std::string json = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  // JSON allows DEL as it is; a terminal should not see it.
  for (size_t at = 0; (at = json.find('\x7f', at)) != std::string::npos;)
    json.replace(at, 1, "\\u007f");
  return json;
}

std::string number(double value) { return nlohmann::json(value).dump(); }

template <class TextWriter>
std::string render(const LogValue& value, TextWriter&& writeText) {
  return std::visit(
      [&](const auto& content) -> std::string {
        using T = std::decay_t<decltype(content)>;
        if constexpr (std::is_same_v<T, std::string>) return writeText(content);
        if constexpr (std::is_same_v<T, bool>) return content ? "true" : "false";
        if constexpr (std::is_same_v<T, double>) return number(content);
        if constexpr (std::is_integral_v<T>) return std::to_string(content);
      },
      value.content);
}

// Control characters would let one message pose as several lines or steer a terminal.
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
      continue;
    }
    std::array<char, 8> code{};
    std::snprintf(code.data(), code.size(), "\\x%02x", byte);
    out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : code.data();
  }
  return out;
}

// Bare when it is one plain word, else in quotes, so that fields can be told apart.
std::string textValue(const std::string& text) {
  bool plain = !text.empty() && text.find_first_of(" \"=\\") == std::string::npos;
  std::string safe = escaped(text);
  if (plain && safe == text) return text;
  return quoted(text);
}

std::string textLine(std::string_view message, const std::vector<LogField>& fields) {
  std::string line = escaped(message);
  for (const auto& field : fields) {
    line += ' ' + escaped(field.key) + '=' + render(field.value, textValue);
  }
  return line;
}

// The inside of the object; the time, the level and the braces come from the pattern.
std::string jsonLine(std::string_view message, const std::vector<LogField>& fields) {
  std::string line = "\"message\":" + quoted(std::string(message));
  for (const auto& field : fields) {
    line += ',' + quoted(field.key) + ':' + render(field.value, quoted);
  }
  return line;
}

constexpr const char* TEXT_PATTERN = "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v";
constexpr const char* JSON_PATTERN = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";

}  // namespace

class LogSink {
 public:
  explicit LogSink(LogOptions options)
      : format(options.format), logger("muster", makeSink(std::move(options.output))) {
    const char* pattern = format == LogFormat::JSON ? JSON_PATTERN : TEXT_PATTERN;
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        pattern, spdlog::pattern_time_type::utc, std::string("\n")));
    logger.set_level(toSpdlog(options.level));
    logger.flush_on(spdlog::level::debug);
  }

  LogFormat format;
  spdlog::logger logger;

 private:
  static spdlog::sink_ptr makeSink(std::function<void(std::string_view)> output) {
    if (output) return std::make_shared<FunctionSink>(std::move(output));
    return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
};

std::optional<LogLevel> parseLogLevel(std::string_view text) {
  if (text == "debug") return LogLevel::DEBUG;
  if (text == "info") return LogLevel::INFO;
  if (text == "warn") return LogLevel::WARN;
  if (text == "error") return LogLevel::ERROR;
  return std::nullopt;
}

std::optional<LogFormat> parseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::TEXT;
  if (text == "json") return LogFormat::JSON;
  return std::nullopt;
}

// A moved-from short string may keep its bytes in place, so they are wiped as well.
Secret::Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.wipe(); }

Secret& Secret::operator=(const Secret& other) {
  if (this == &other) return *this;
  wipe();
  value_ = other.value_;
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  value_.swap(other.value_);
  return *this;
}

Secret::~Secret() { wipe(); }

void Secret::wipe() {
  value_.resize(value_.capacity());
  OPENSSL_cleanse(value_.data(), value_.size());
  value_.clear();
}

LogValue::LogValue(const kj::Exception& exception)
    : content(std::string(exception.getFile()) + ":" + std::to_string(exception.getLine()) + ": " +
              exception.getDescription().cStr()) {}

Logger::Logger(LogOptions options) : sink_(std::make_shared<LogSink>(std::move(options))) {}

Logger Logger::with(std::vector<LogField> fields) const {
  Logger copy = *this;
  for (auto& field : fields) copy.fixed_.push_back(std::move(field));
  return copy;
}

bool Logger::enabled(LogLevel level) const { return sink_->logger.should_log(toSpdlog(level)); }

void Logger::log(LogLevel level, std::string_view message, std::vector<LogField> fields) const {
  if (!enabled(level)) return;
  fields.insert(fields.begin(), fixed_.begin(), fixed_.end());
  std::string line =
      sink_->format == LogFormat::JSON ? jsonLine(message, fields) : textLine(message, fields);
  sink_->logger.log(toSpdlog(level), spdlog::string_view_t(line));
}

}  // namespace muster
