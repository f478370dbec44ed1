#include "base/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace muster {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr std::array<Unit, 5> SIZES{
    {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}}};
constexpr std::array<Unit, 5> DURATIONS{{{"ms", 1'000'000ull},
                                         {"s", 1'000'000'000ull},
                                         {"m", 60'000'000'000ull},
                                         {"h", 3'600'000'000'000ull},
                                         {"d", 86'400'000'000'000ull}}};

constexpr uint64_t LIMIT = 9'000'000'000'000'000'000ull;  // fits a signed count of nanoseconds

// Whole numbers are taken exactly (a double would round above 2^53); only fractions go through a
// double.
std::optional<uint64_t> scale(std::string_view number, uint64_t factor) {
  const char* end = number.data() + number.size();
  uint64_t whole = 0;
  auto exact = std::from_chars(number.data(), end, whole);
  if (exact.ec != std::errc{}) return std::nullopt;
  if (exact.ptr == end) {
    if (whole > LIMIT / factor) return std::nullopt;
    return whole * factor;
  }
  double fraction = 0;
  auto [rest, error] = std::from_chars(number.data(), end, fraction, std::chars_format::fixed);
  if (error != std::errc{} || rest != end) return std::nullopt;
  double value = fraction * static_cast<double>(factor);
  if (value > static_cast<double>(LIMIT)) return std::nullopt;
  return static_cast<uint64_t>(std::llround(value));
}

template <size_t N>
std::optional<uint64_t> parseWithUnit(std::string_view text, const std::array<Unit, N>& units) {
  size_t length = std::min(text.find_first_not_of("0123456789."), text.size());
  if (length == 0 || text[0] == '.') return std::nullopt;
  for (const auto& unit : units) {
    if (text.substr(length) == unit.name) return scale(text.substr(0, length), unit.factor);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Bytes> parseBytes(std::string_view text) {
  auto count = parseWithUnit(text, SIZES);
  if (!count) return std::nullopt;
  return Bytes{*count};
}

std::optional<Duration> parseDuration(std::string_view text) {
  auto nanos = parseWithUnit(text, DURATIONS);
  if (!nanos) return std::nullopt;
  return Duration{static_cast<int64_t>(*nanos)};
}

std::string toText(Bytes bytes) {
  for (const auto& unit : SIZES) {
    if (bytes.count >= unit.factor && bytes.count % unit.factor == 0) {
      return std::to_string(bytes.count / unit.factor) + std::string(unit.name);
    }
  }
  return "0B";
}

std::string toShortText(Bytes bytes) {
  std::array<char, 40> text{};
  for (const auto& unit : SIZES) {
    if (unit.factor == 1 || bytes.count < unit.factor) continue;
    std::snprintf(text.data(), text.size(), "%.1f %.*s",
                  static_cast<double>(bytes.count) / static_cast<double>(unit.factor),
                  static_cast<int>(unit.name.size()), unit.name.data());
    return text.data();
  }
  return std::to_string(bytes.count) + " B";
}

std::string toText(Duration duration) {
  for (auto unit = DURATIONS.rbegin(); unit != DURATIONS.rend(); ++unit) {
    auto factor = static_cast<int64_t>(unit->factor);
    if (duration.nanos != 0 && duration.nanos % factor == 0) {
      return std::to_string(duration.nanos / factor) + std::string(unit->name);
    }
  }
  return std::to_string(duration.millis()) + "ms";
}

std::string toAge(Duration duration) {
  int64_t seconds = duration.nanos > 0 ? duration.nanos / 1'000'000'000 : 0;
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) {
    return std::to_string(seconds / 60) + "m" +
           (seconds % 60 != 0 ? std::to_string(seconds % 60) + "s" : "");
  }
  if (seconds < 86400) {
    return std::to_string(seconds / 3600) + "h" +
           (seconds / 60 % 60 != 0 ? std::to_string(seconds / 60 % 60) + "m" : "");
  }
  return std::to_string(seconds / 86400) + "d";
}

std::string toRfc3339(WallTime time) {
  time_t seconds = time.unixMs / 1000;
  struct tm utc {};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> date{};
  strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ", date.data(),
                static_cast<int>(time.unixMs % 1000));
  return text.data();
}

}  // namespace muster
