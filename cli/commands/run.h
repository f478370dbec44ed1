// The program without its process: words in, exit code out.
#pragma once

#include "base/clock.h"
#include "cli/terminal.h"

#include <string>
#include <vector>

namespace muster::cli {

// `words` without the program's name. Never throws.
int runMuster(const std::vector<std::string>& words, const TerminalStreams& streams,
              const Environment& environment, const Clock& clock);

}  // namespace muster::cli
