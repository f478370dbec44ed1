#include "cli/commands/documents.h"

#include "base/files.h"
#include "protocol/deployment_text.h"
#include "protocol/deployment_yaml.h"
#include "protocol/yaml_document.h"

#include <unistd.h>

namespace muster::cli {
namespace {

Result<std::string> readStdin() {
  std::string text;
  char buffer[65536];
  for (;;) {
    ssize_t count = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > YAML_SIZE_MAX) {
      return Refusal{RefusalCode::TOO_LARGE,
                     "stdin holds more than " + toText(Bytes{YAML_SIZE_MAX})};
    }
  }
}

Result<std::string> readText(const std::string& file) {
  if (file == "-") return readStdin();
  return readFile(file, Bytes{YAML_SIZE_MAX});
}

// The documents with all their fields and the tenant that was given for those without.
std::string withTenants(const std::vector<DeploymentSpec>& specs) {
  std::string text;
  for (const auto& spec : specs) text += (text.empty() ? "" : "---\n") + toYaml(spec);
  return text;
}

}  // namespace

std::string shownName(const std::string& file) { return file == "-" ? "stdin" : file; }

Result<CheckedDocuments> readDocuments(const Invocation& invocation, const std::string& file) {
  auto text = readText(file);
  if (!text) return text.refusal();
  auto specs = parseDeployments(*text, shownName(file), {.tenant = {invocation.tenant()}});
  if (!specs) return specs.refusal();
  std::string sent = invocation.has("--tenant") ? withTenants(*specs) : *text;
  return CheckedDocuments{{sent, shownName(file)}, std::move(*specs)};
}

}  // namespace muster::cli
