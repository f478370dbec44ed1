// How a rank that is Ready says where it answers OpenAI requests: in the message of its phase, for
// people and gateways alike: "answers at https://10.0.0.3:41005". The message is logged with the
// phase, so that every coordinator knows it. The text is stable.
#pragma once

#include <string>
#include <string_view>

namespace muster {

inline constexpr std::string_view ENDPOINT_NOTE = "answers at ";

// `endpoint`: a URL of scheme, host and port; empty: the rank answers nowhere.
inline std::string endpointNote(std::string_view endpoint) {
  return endpoint.empty() ? std::string() : std::string(ENDPOINT_NOTE) + std::string(endpoint);
}

// The endpoint that the message of a Ready rank names; empty: none.
inline std::string_view endpointOf(std::string_view message) {
  if (!message.starts_with(ENDPOINT_NOTE)) return "";
  std::string_view rest = message.substr(ENDPOINT_NOTE.size());
  return rest.substr(0, rest.find(' '));
}

}  // namespace muster
