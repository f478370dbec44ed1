#include "cli/commands/gateway_calls.h"

#include "cli/context.h"
#include "protocol/names.h"

namespace muster::cli {

Result<GatewayAddress> gatewayOf(const Invocation& invocation) {
  std::string url = invocation.arguments.value("--gateway");
  if (url.empty()) {
    auto context = chooseContext(invocation.arguments.value("--context"), invocation.environment);
    if (!context) return context.refusal();
    url = context->cluster.gateway;
  }
  if (!url.empty()) return parseGatewayUrl(url);
  return Refusal{RefusalCode::NOT_FOUND,
                 "the context names no gateway",
                 {},
                 {"give --gateway http://HOST:7402",
                  "add gateway = \"http://HOST:7402\" to the context file"}};
}

Result<std::string> modelOf(const Invocation& invocation, const std::string& word) {
  auto reference = parseReference(word);
  // What is no reference may be an alias: "Qwen/Qwen2.5-7B".
  if (!reference) return word;
  TenantName tenant = reference->tenant.value_or(TenantName{invocation.tenant()});
  bool isDefault = tenant.value == "default";
  return isDefault ? reference->deployment.value : tenant.value + "/" + reference->deployment.value;
}

std::string errorMessage(std::string_view json) {
  Json parsed = Json::parse(json, nullptr, false);
  std::string message = parsed.is_object() ? textAt(parsed, "/error/message") : "";
  return message.empty() ? std::string(json) : message;
}

}  // namespace muster::cli
