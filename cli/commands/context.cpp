#include "cli/context.h"

#include "cli/commands/commands.h"
#include "cli/exit_code.h"
#include "protocol/names.h"

namespace muster::cli {
namespace {

Json contextObject(const NamedContext& context, const std::string& current) {
  Json object{{"kind", "context"},
              {"object", context.name},
              {"name", context.name},
              {"current", context.name == current},
              {"file", context.file}};
  auto cluster = readContextFile(context.file);
  if (!cluster) {
    object["problem"] = cluster.refusal().text;
    return object;
  }
  object["cluster"] = cluster->cluster.value;
  object["coordinators"] = cluster->coordinators;
  object["certificate"] = cluster->tls.certificate;
  return object;
}

std::string viewContexts(const Json& items, const ViewOptions& options) {
  Table table({"CONTEXT", "CURRENT", "CLUSTER", "COORDINATORS", "FILE"});
  for (const auto& one : items) {
    std::string problem = textAt(one, "/problem");
    std::string file = textAt(one, "/file");
    table.add({textAt(one, "/name"), textAt(one, "/current") == "true" ? "*" : "-",
               orDash(textAt(one, "/cluster")), orDash(textAt(one, "/coordinators")),
               problem.empty() ? file : problem});
  }
  return table.toText(options.paint);
}

}  // namespace

Result<int> runContextList(Invocation& invocation) {
  auto contexts = readUserContexts(invocation.environment);
  if (!contexts) return contexts.refusal();
  Json answer{{"version", 1}, {"items", Json::array()}};
  for (const auto& context : contexts->contexts) {
    answer["items"].push_back(contextObject(context, contexts->current));
  }
  if (contexts->contexts.empty()) {
    invocation.terminal.hint("no contexts; muster context add NAME FILE, or muster up");
    if (invocation.format.isForPeople()) return EXIT_DONE;
  }
  return print(invocation, answer, [&](const Json& shown) {
    return viewContexts(shown.at("items"), invocation.view());
  });
}

Result<int> runContextUse(Invocation& invocation) {
  std::string name = invocation.arguments.word("NAME");
  auto used = useContext(name, invocation.environment);
  if (!used) return used.refusal();
  invocation.terminal.hint("context " + name + " is current");
  return EXIT_DONE;
}

Result<int> runContextAdd(Invocation& invocation) {
  std::string name = invocation.arguments.word("NAME");
  auto checked = checkName(name, NameKind::CLUSTER);
  if (!checked) return invocation.wrongUsage(checked.refusal());
  auto added = addContext({name, invocation.arguments.word("FILE")}, invocation.environment);
  if (!added) return added.refusal();
  invocation.terminal.hint("context " + name + " is known; next: muster context use " + name);
  return EXIT_DONE;
}

}  // namespace muster::cli
