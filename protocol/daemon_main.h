// What the mains of our daemons share: exit statuses, and a refusal as the program's last word.
#pragma once

#include "base/result.h"

#include <functional>
#include <string>

namespace muster {

constexpr int EXIT_FAILED = 1;
constexpr int EXIT_WRONG_USAGE = 2;
constexpr int EXIT_INVALID_FILE = 3;

// Tells `refusal` on stderr, as an error of `fileName` where that is given. Returns `exitStatus`.
int complain(const Refusal& refusal, int exitStatus, const std::string& fileName = "");

// The exit status of `act`; EXIT_FAILED when it throws, which is told with what to do next.
// `program`: for hints.
int runDaemon(const std::string& program, const std::function<int()>& act);

}  // namespace muster
