// Events as JSON objects, and which of them a user means.
#pragma once

#include "coordinator/core/event.h"
#include "coordinator/objects/json.h"

#include <string_view>

namespace muster::coordinator {

Json eventObject(const Event& event);

// Whether the event is about `target`: "[tenant/]deployment[/replica[/rank]]" with everything below
// it, or a node's name. An empty target means every event.
bool isAbout(const Event& event, std::string_view target);

}  // namespace muster::coordinator
