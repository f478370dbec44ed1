// What the fields of a deployment say about each other.
#pragma once

#include "protocol/deployment.h"
#include "protocol/field_reader.h"
#include "protocol/yaml_document.h"

#include <string>

namespace muster {

// Reports: `gpus` that tp x pp cannot make; a process engine without a command; fields of one
// engine given to the other; two ways of being ready; nodes both asked for and excluded. Fields
// that are already in error are left alone. `document` is the map the spec was read from.
void checkTogether(FieldReader& reader, const YamlNode& document, const std::string& label,
                   const DeploymentSpec& spec);

}  // namespace muster
