// Deployments as people write them: strict YAML (or JSON), every error at once, each with its
// place.
#pragma once

#include "base/result.h"
#include "protocol/deployment.h"

#include <string_view>
#include <vector>

namespace muster {

struct DeploymentYamlOptions {
  TenantName tenant{"default"};  // of documents that name none
};

// Reads all documents of a file; at least one.
//
// `fileName` is for the texts only: nothing is opened.
// Refuses with all errors found (at most 50), in the order of the file; the refusal's code is that
// of the first. What this version does not build is refused as NOT_SUPPORTED_YET. The refusal's
// fixes name the next command.
Result<std::vector<DeploymentSpec>> parseDeployments(std::string_view yaml,
                                                     std::string_view fileName,
                                                     const DeploymentYamlOptions& options = {});

}  // namespace muster
