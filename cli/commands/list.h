// Lists of objects: printed once, or watched.
#pragma once

#include "cli/commands/session.h"

#include <functional>
#include <string>

namespace muster::cli {

struct ListRequest {
  std::string kind;
  std::string target;                                  // empty: all
  std::function<std::string(const Json& items)> view;  // of printable items
};

// Honours -o, --json-lines, --tenant, --stale and --watch. A watched table is redrawn on a
// terminal; elsewhere the whole list comes first and then each object that changed.
Result<int> runList(Invocation& invocation, const ListRequest& request);

}  // namespace muster::cli
