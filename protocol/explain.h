// `muster explain`: what a field of the deployment YAML or an error code means.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace muster {

// The page of "deployment" (every field), of a field ("engine.args"; its last word alone prints all
// fields that end so), or of a code ("E0104"). Ends with a line break.
// Refuses NOT_FOUND for anything else, with the nearest word.
Result<std::string> explain(std::string_view word);

}  // namespace muster
