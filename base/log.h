// Logging to stderr as text or JSON lines. A Logger is handed in by constructor; copies share one
// output and may be used from any thread.
#pragma once

#include "base/ids.h"
#include "base/refusal_code.h"
#include "base/units.h"

#include <kj/exception.h>
#include <kj/string.h>

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster {

enum class LogLevel { DEBUG, INFO, WARN, ERROR };
enum class LogFormat { TEXT, JSON };

std::optional<LogLevel> parseLogLevel(std::string_view text);    // "debug", "info", "warn", "error"
std::optional<LogFormat> parseLogFormat(std::string_view text);  // "text", "json"

// A value that must never be shown: it prints as [secret], and only reveal() gives it away. It
// cannot be compared or streamed, and its memory is wiped at the end.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();
  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  void wipe();
  std::string value_;
};

// What may stand in a field; made from the types our code speaks.
class LogValue {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a field is written {"epoch", epoch}.
  LogValue(const char* text) : content(std::string(text)) {}
  LogValue(std::string_view text) : content(std::string(text)) {}
  LogValue(std::string text) : content(std::move(text)) {}
  LogValue(kj::StringPtr text) : content(std::string(text.begin(), text.size())) {}
  LogValue(bool value) : content(value) {}
  LogValue(double value) : content(value) {}
  template <std::signed_integral T>
  LogValue(T value) : content(static_cast<int64_t>(value)) {}
  template <std::unsigned_integral T>
  LogValue(T value) : content(static_cast<uint64_t>(value)) {}
  template <class Tag, class Rep>
  LogValue(StrongNumber<Tag, Rep> number) : content(static_cast<uint64_t>(number.value)) {}
  template <class Tag>
  LogValue(const StrongName<Tag>& name) : content(name.value) {}
  LogValue(const Guid& guid) : content(toText(guid)) {}
  LogValue(Bytes bytes) : content(toText(bytes)) {}
  LogValue(Duration duration) : content(toText(duration)) {}
  LogValue(RefusalCode code) : content(toText(code)) {}
  LogValue(const kj::Exception& exception);  // file, line and description; no stack
  LogValue(const Secret&) : content(std::string("[secret]")) {}
  // NOLINTEND(google-explicit-constructor)

  std::variant<std::string, int64_t, uint64_t, double, bool> content;
};

struct LogField {
  std::string key;
  LogValue value;
};

struct LogOptions {
  LogLevel level = LogLevel::INFO;
  LogFormat format = LogFormat::TEXT;
  // Takes whole lines, one call at a time, instead of stderr. For tests.
  std::function<void(std::string_view line)> output = nullptr;
};

class LogSink;  // holds the library, which only log.cpp knows

class Logger {
 public:
  explicit Logger(LogOptions options = {});

  // A logger that adds `fields` to each of its lines, for instance {"deployment", name}.
  Logger with(std::vector<LogField> fields) const;

  bool enabled(LogLevel level) const;
  void log(LogLevel level, std::string_view message, std::vector<LogField> fields = {}) const;
  void debug(std::string_view message, std::vector<LogField> fields = {}) const {
    log(LogLevel::DEBUG, message, std::move(fields));
  }
  void info(std::string_view message, std::vector<LogField> fields = {}) const {
    log(LogLevel::INFO, message, std::move(fields));
  }
  void warn(std::string_view message, std::vector<LogField> fields = {}) const {
    log(LogLevel::WARN, message, std::move(fields));
  }
  void error(std::string_view message, std::vector<LogField> fields = {}) const {
    log(LogLevel::ERROR, message, std::move(fields));
  }

 private:
  std::shared_ptr<LogSink> sink_;
  std::vector<LogField> fixed_;
};

}  // namespace muster
