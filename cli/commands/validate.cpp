#include "cli/commands/commands.h"
#include "cli/commands/documents.h"
#include "cli/exit_code.h"
#include "protocol/explain.h"

namespace muster::cli {

Result<int> runValidate(Invocation& invocation) {
  std::string file = invocation.arguments.word("FILE");
  auto checked = readDocuments(invocation, file);
  if (!checked) return invocation.terminal.fail(checked.refusal(), shownName(file));
  Json answer{{"version", 1}, {"kind", "validated"}, {"file", shownName(file)}};
  answer["deployments"] = Json::array();
  for (const auto& spec : checked->specs) {
    answer["deployments"].push_back({{"tenant", spec.tenant.value}, {"name", spec.name.value}});
  }
  return print(invocation, answer, [](const Json& shown) {
    std::string names;
    for (const auto& deployment : listAt(shown, "/deployments")) {
      names += (names.empty() ? "" : ", ") + textAt(deployment, "/name");
    }
    return textAt(shown, "/file") + ": valid (" + names + ")\n";
  });
}

Result<int> runExplain(Invocation& invocation) {
  std::string topic = invocation.arguments.word("TOPIC");
  auto page = explain(topic);
  if (!page) return page.refusal();
  Json answer{{"version", 1}, {"kind", "page"}, {"topic", topic}, {"text", *page}};
  return print(invocation, answer, [&](const Json&) { return *page; });
}

}  // namespace muster::cli
