// The doctor, who alone knows this exit code.
#pragma once

#include "cli/commands/invocation.h"

namespace muster::cli {

inline constexpr int EXIT_PROBLEMS = 11;  // something failed

Result<int> runDoctor(Invocation& invocation);
// The certificates of a folder, with a warning from 30 days before the end of one.
Result<int> runAdminCerts(Invocation& invocation);

}  // namespace muster::cli
