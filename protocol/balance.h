// How a gateway picks among the replicas of a model: by a deployment's `balance`, else by its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace muster {

enum class Balance : uint8_t { LEAST_OUTSTANDING, ROUND_ROBIN, RANDOM, WEIGHTED, PREFIX };

// In the order of the enumerators; one vocabulary for YAML, routes and gateway.toml.
inline constexpr std::array<std::string_view, 5> BALANCE_TEXTS = {
    "least_outstanding", "round_robin", "random", "weighted", "prefix"};

constexpr std::string_view toText(Balance balance) {
  return BALANCE_TEXTS.at(static_cast<size_t>(balance));
}

// The inverse, exact in case; nothing for any other text.
constexpr std::optional<Balance> parseBalance(std::string_view text) {
  const auto* found = std::ranges::find(BALANCE_TEXTS, text);
  if (found == BALANCE_TEXTS.end()) return std::nullopt;
  return static_cast<Balance>(found - BALANCE_TEXTS.begin());
}

}  // namespace muster
