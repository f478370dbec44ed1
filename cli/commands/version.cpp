#include "base/version.h"

#include "cli/commands/commands.h"

namespace muster::cli {

Result<int> runVersion(Invocation& invocation) {
  Json answer{{"version", 1}, {"kind", "version"}, {"muster", VERSION}};
  return print(invocation, answer,
               [](const Json& shown) { return "muster " + textAt(shown, "/muster") + "\n"; });
}

}  // namespace muster::cli
