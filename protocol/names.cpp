#include "protocol/names.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace muster {
namespace {

constexpr size_t NAME_LENGTH_MAX = 63;
constexpr size_t HOST_NAME_LENGTH_MAX = 48;
constexpr size_t ALIAS_LENGTH_MAX = 128;
constexpr std::string_view ALIAS_SIGNS = "._:/@-";

std::string_view kindText(NameKind kind) {
  switch (kind) {
    case NameKind::CLUSTER:
      return "cluster";
    case NameKind::TENANT:
      return "tenant";
    case NameKind::DEPLOYMENT:
      return "deployment";
    case NameKind::POOL:
      return "pool";
    case NameKind::NODE:
      return "node";
    case NameKind::COORDINATOR:
      return "coordinator";
  }
  return "name";
}

size_t lengthMax(NameKind kind) {
  bool host = kind == NameKind::NODE || kind == NameKind::COORDINATOR;
  return host ? HOST_NAME_LENGTH_MAX : NAME_LENGTH_MAX;
}

// By hand, since the C library's versions ask the locale.
bool isLower(char c) { return c >= 'a' && c <= 'z'; }
bool isUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool isNameCharacter(char c) { return isLower(c) || isDigit(c) || c == '-'; }

std::string quoted(std::string_view text) {
  constexpr size_t SHOWN_MAX = 80;
  std::string shown;
  for (char c : text.substr(0, SHOWN_MAX)) shown += c >= 0 && c < ' ' ? '?' : c;
  return "\"" + shown + (text.size() > SHOWN_MAX ? "..." : "") + "\"";
}

std::string complaint(std::string_view name, NameKind kind) {
  if (name.empty()) return "is empty";
  if (!isLower(name[0])) return "must start with a lower-case letter";
  if (name.size() > lengthMax(kind)) {
    return "has " + std::to_string(name.size()) + " characters, at most " +
           std::to_string(lengthMax(kind)) + " are allowed";
  }
  if (!std::ranges::all_of(name, isNameCharacter)) {
    return "may hold lower-case letters, digits and \"-\" only";
  }
  return {};
}

Refusal invalid(std::string text) { return Refusal{RefusalCode::INVALID_NAME, std::move(text)}; }

// Digits only, without leading zeros, so that each number has one spelling.
std::optional<uint32_t> parseNumber(std::string_view text) {
  if (text.empty() || !std::ranges::all_of(text, isDigit)) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return number;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool startsWithLetter(std::string_view text) { return !text.empty() && !isDigit(text[0]); }

// Reads [replica[/rank]] of the parts from `first` on.
Result<Done> parseNumbers(const std::vector<std::string_view>& parts, size_t first,
                          std::string_view whole, Reference& reference) {
  if (parts.size() > first + 2) {
    return invalid(quoted(whole) + " has too many parts: [tenant/]deployment[/replica[/rank]]");
  }
  for (size_t i = first; i < parts.size(); ++i) {
    auto number = parseNumber(parts[i]);
    if (!number) {
      return invalid(std::string(i == first ? "replica " : "rank ") + quoted(parts[i]) + " in " +
                     quoted(whole) + " is not a number");
    }
    if (i == first) {
      reference.replica = ReplicaNumber{*number};
    } else {
      reference.rank = RankNumber{*number};
    }
  }
  return Done{};
}

}  // namespace

Result<Done> checkName(std::string_view name, NameKind kind) {
  std::string why = complaint(name, kind);
  if (why.empty()) return Done{};
  Refusal refusal = invalid(std::string(kindText(kind)) + " name " + quoted(name) + " " + why);
  if (auto better = suggestName(name, kind)) {
    refusal.fixes.push_back("write \"" + *better + "\"");
  }
  return refusal;
}

Result<Done> checkAlias(std::string_view alias) {
  auto isPlain = [](char c) { return isLower(c) || isUpper(c) || isDigit(c); };
  auto isTaken = [&](char c) { return isPlain(c) || ALIAS_SIGNS.find(c) != alias.npos; };
  std::string why;
  if (alias.empty()) {
    why = "is empty";
  } else if (alias.size() > ALIAS_LENGTH_MAX) {
    why = "has " + std::to_string(alias.size()) + " characters, at most " +
          std::to_string(ALIAS_LENGTH_MAX) + " are allowed";
  } else if (!isPlain(alias[0])) {
    why = "must start with a letter or a digit";
  } else if (!std::ranges::all_of(alias, isTaken)) {
    why = "may hold letters, digits and \"" + std::string(ALIAS_SIGNS) + "\" only";
  }
  if (why.empty()) return Done{};
  return invalid("alias " + quoted(alias) + " " + why);
}

std::optional<std::string> suggestName(std::string_view name, NameKind kind) {
  std::string better;
  for (char c : name) {
    if (better.size() == lengthMax(kind)) break;
    char lower = isUpper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    if (better.empty() && !isLower(lower)) continue;
    bool fits = isNameCharacter(lower);
    if (!fits && !better.empty() && better.back() == '-') continue;
    better += fits ? lower : '-';
  }
  while (!better.empty() && better.back() == '-') better.pop_back();
  if (better.empty() || better == name) return std::nullopt;
  return better;
}

Result<Reference> parseReference(std::string_view text) {
  auto parts = split(text, '/');
  Reference reference;
  bool hasTenant = parts.size() >= 2 && startsWithLetter(parts[1]);
  if (hasTenant) {
    if (auto checked = checkName(parts[0], NameKind::TENANT); !checked) return checked.refusal();
    reference.tenant = TenantName{std::string(parts[0])};
  }
  size_t at = hasTenant ? 1 : 0;
  if (auto checked = checkName(parts[at], NameKind::DEPLOYMENT); !checked) return checked.refusal();
  reference.deployment = DeploymentName{std::string(parts[at])};
  if (auto numbers = parseNumbers(parts, at + 1, text, reference); !numbers) {
    return numbers.refusal();
  }
  return reference;
}

std::string toText(const Reference& reference) {
  std::string text;
  if (reference.tenant) text += reference.tenant->value + "/";
  text += reference.deployment.value;
  if (reference.replica) text += "/" + std::to_string(reference.replica->value);
  if (reference.replica && reference.rank) text += "/" + std::to_string(reference.rank->value);
  return text;
}

Result<GpuReference> parseGpuReference(std::string_view text) {
  size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return invalid(quoted(text) + " is not a GPU: write node:index, for instance gpu02:5");
  }
  std::string_view node = text.substr(0, colon);
  if (auto checked = checkName(node, NameKind::NODE); !checked) return checked.refusal();
  auto index = parseNumber(text.substr(colon + 1));
  if (!index) {
    return invalid("GPU index " + quoted(text.substr(colon + 1)) + " in " + quoted(text) +
                   " is not a number");
  }
  return GpuReference{NodeName{std::string(node)}, DeviceIndex{*index}};
}

std::string toText(const GpuReference& gpu) {
  return gpu.node.value + ":" + std::to_string(gpu.device.value);
}

}  // namespace muster
