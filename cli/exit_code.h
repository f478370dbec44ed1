// What the process's end tells a script. Codes of refusals stand in base/refusal_code.h.
#pragma once

namespace muster::cli {

inline constexpr int EXIT_DONE = 0;
inline constexpr int EXIT_FAILED = 1;
inline constexpr int EXIT_USAGE = 2;
inline constexpr int EXIT_TIMED_OUT = 9;  // the work goes on
inline constexpr int EXIT_CHANGES = 10;   // plan --exit-code
inline constexpr int EXIT_INTERNAL = 12;
inline constexpr int EXIT_INTERRUPTED = 130;  // detached

}  // namespace muster::cli
