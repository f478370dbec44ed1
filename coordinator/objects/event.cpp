#include "coordinator/objects/event.h"

#include "protocol/names.h"

namespace muster::coordinator {
namespace {

std::string_view toText(Severity severity) {
  switch (severity) {
    case Severity::INFO:
      return "info";
    case Severity::WARNING:
      return "warning";
    case Severity::ERROR:
      return "error";
  }
  return "info";
}

bool isBelow(std::string_view object, const std::string& name) {
  return object == name || object.starts_with(name + "/");
}

}  // namespace

Json eventObject(const Event& event) {
  return {{"index", event.index.value},
          {"ordinal", event.ordinal},
          {"time", toRfc3339(event.wall)},
          {"severity", toText(event.severity)},
          {"type", event.type},
          {"tenant", event.tenant},
          {"object", event.object},
          {"message", event.message},
          {"principal", event.principal}};
}

bool isAbout(const Event& event, std::string_view target) {
  if (target.empty()) return true;
  if (event.object == target || event.object == "node " + std::string(target)) return true;
  auto reference = parseReference(target);
  if (!reference) return false;
  if (event.tenant != (reference->tenant ? reference->tenant->value : "default")) return false;
  std::string name = reference->deployment.value;
  if (reference->replica) name += "/" + std::to_string(reference->replica->value);
  // Events speak of replicas; a rank is named in their message.
  return isBelow(event.object, name);
}

}  // namespace muster::coordinator
