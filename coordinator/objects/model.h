// Models as JSON objects.
#pragma once

#include "coordinator/objects/json.h"
#include "protocol/model.h"

namespace muster::coordinator {

Json modelObject(const ModelManifest& manifest);

}  // namespace muster::coordinator
