// How far a coordinator is on its way to lead, as Gate.hello and `admin status` tell it.
#pragma once

#include <cstdint>
#include <string_view>

namespace muster {

// Three facts that must not be mixed up: to have won, to know all, to answer. The numbers are those
// of ServerInfo.stage.
enum class Stage : uint8_t { STANDBY, ELECTED, CAUGHT_UP, SERVING };

constexpr std::string_view toText(Stage stage) {
  switch (stage) {
    case Stage::STANDBY:
      return "standby";
    case Stage::ELECTED:
      return "elected";
    case Stage::CAUGHT_UP:
      return "caught_up";
    case Stage::SERVING:
      return "serving";
  }
  return "unknown";
}

}  // namespace muster
