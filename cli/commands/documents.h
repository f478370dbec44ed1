// Deployment files as commands take them.
#pragma once

#include "cli/calls.h"
#include "cli/commands/invocation.h"
#include "protocol/deployment.h"

#include <string>
#include <vector>

namespace muster::cli {

struct CheckedDocuments {
  Documents documents;  // what is sent
  std::vector<DeploymentSpec> specs;
};

// Reads a file, or stdin for "-", and checks it as the coordinator will, so that an error is told
// without a cluster. With --tenant, documents that name no tenant get it. Show a refusal with
// shownName().
Result<CheckedDocuments> readDocuments(const Invocation& invocation, const std::string& file);

// The name of a file in messages.
std::string shownName(const std::string& file);

}  // namespace muster::cli
