// Bytes and times as types of their own, with literals and the text forms users write and read.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

struct Bytes {
  uint64_t count = 0;
  auto operator<=>(const Bytes&) const = default;
  Bytes& operator+=(Bytes other) { return count += other.count, *this; }
  Bytes& operator-=(Bytes other) { return count -= other.count, *this; }
};
constexpr Bytes operator+(Bytes a, Bytes b) { return {a.count + b.count}; }
constexpr Bytes operator-(Bytes a, Bytes b) { return {a.count - b.count}; }
constexpr Bytes operator*(Bytes a, uint64_t times) { return {a.count * times}; }

// A span of time in nanoseconds; may be negative.
struct Duration {
  int64_t nanos = 0;
  auto operator<=>(const Duration&) const = default;
  constexpr int64_t millis() const { return nanos / 1'000'000; }
};
constexpr Duration operator+(Duration a, Duration b) { return {a.nanos + b.nanos}; }
constexpr Duration operator-(Duration a, Duration b) { return {a.nanos - b.nanos}; }
constexpr Duration operator*(Duration a, int64_t times) { return {a.nanos * times}; }
constexpr Duration operator/(Duration a, int64_t parts) { return {a.nanos / parts}; }

// Cluster time: nanoseconds since the bootstrap of the history, carried on by each leader's steady
// clock. Decisions use it; it is unrelated to any wall clock.
struct Instant {
  int64_t nanos = 0;
  auto operator<=>(const Instant&) const = default;
};
constexpr Instant operator+(Instant t, Duration d) { return {t.nanos + d.nanos}; }
constexpr Instant operator-(Instant t, Duration d) { return {t.nanos - d.nanos}; }
constexpr Duration operator-(Instant a, Instant b) { return {a.nanos - b.nanos}; }

// A process's own steady clock (CLOCK_BOOTTIME): for leases and deadlines, never sent to anyone.
struct SteadyTime {
  int64_t nanos = 0;
  auto operator<=>(const SteadyTime&) const = default;
};
constexpr SteadyTime operator+(SteadyTime t, Duration d) { return {t.nanos + d.nanos}; }
constexpr SteadyTime operator-(SteadyTime t, Duration d) { return {t.nanos - d.nanos}; }
constexpr Duration operator-(SteadyTime a, SteadyTime b) { return {a.nanos - b.nanos}; }

// Milliseconds since 1970 UTC. For display only: nothing is decided by it.
struct WallTime {
  int64_t unixMs = 0;
  auto operator<=>(const WallTime&) const = default;
};

inline namespace literals {
constexpr Bytes operator""_B(unsigned long long n) { return {n}; }
constexpr Bytes operator""_KiB(unsigned long long n) { return {n << 10}; }
constexpr Bytes operator""_MiB(unsigned long long n) { return {n << 20}; }
constexpr Bytes operator""_GiB(unsigned long long n) { return {n << 30}; }
constexpr Duration operator""_ms(unsigned long long n) {
  return {static_cast<int64_t>(n) * 1'000'000};
}
constexpr Duration operator""_s(unsigned long long n) {
  return {static_cast<int64_t>(n) * 1'000'000'000};
}
constexpr Duration operator""_min(unsigned long long n) { return operator""_s(n * 60); }
}  // namespace literals

// "80GiB", "512MiB", "17B", and decimals such as "1.5GiB". Nothing when it is no size.
std::optional<Bytes> parseBytes(std::string_view text);
// "250ms", "30s", "5m", "2h", "3d". Nothing when it is no duration.
std::optional<Duration> parseDuration(std::string_view text);

std::string toText(Bytes bytes);        // exact: "4GiB", "1536MiB", "17B"
std::string toShortText(Bytes bytes);   // for people: "71.4 GiB"
std::string toText(Duration duration);  // exact: "1500ms", "30s", "5m"
std::string toAge(Duration duration);   // for tables: "2m40s", "3d"
std::string toRfc3339(WallTime time);   // "2031-01-02T03:04:05.678Z"

}  // namespace muster
