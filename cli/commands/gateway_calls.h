// What chat and bench share: which gateway, and what is asked of it.
#pragma once

#include "cli/commands/invocation.h"
#include "cli/gateway_client.h"

#include <string>

namespace muster::cli {

// --gateway URL, else what the context names. Refuses INVALID_VALUE, NOT_FOUND.
Result<GatewayAddress> gatewayOf(const Invocation& invocation);

// The name under which the gateway knows a deployment: "chat", or "search/ranker" of another
// tenant.
Result<std::string> modelOf(const Invocation& invocation, const std::string& word);

// What went wrong, out of {"error": {"message"}}; the text itself when it is no such thing.
std::string errorMessage(std::string_view json);

}  // namespace muster::cli
