#include "cli/commands/commands.h"
#include "cli/commands/documents.h"
#include "cli/commands/session.h"
#include "cli/exit_code.h"

namespace muster::cli {
namespace {

bool changesAnything(const Json& plan) {
  return numberAt(plan, "/summary/add") + numberAt(plan, "/summary/change") +
             numberAt(plan, "/summary/remove") >
         0;
}

}  // namespace

Result<int> runPlan(Invocation& invocation) {
  std::string file = invocation.arguments.word("FILE");
  auto checked = readDocuments(invocation, file);
  if (!checked) return invocation.terminal.fail(checked.refusal(), shownName(file));
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  auto show = invocation.has("--show-commands") ? ShowCommands::YES : ShowCommands::NO;
  auto reply = (*session)->ask(planCall(checked->documents, show));
  if (!reply) return invocation.terminal.fail(reply.refusal(), shownName(file));
  auto printed = print(invocation, reply->json,
                       [&](const Json& plan) { return viewPlan(plan, invocation.view()); });
  if (!printed) return printed;
  bool changes = changesAnything(reply->json);
  std::string id = textAt(printableJson(reply->json), "/id");
  if (changes && !id.empty()) invocation.terminal.hint("next: muster apply " + id);
  return changes && invocation.has("--exit-code") ? EXIT_CHANGES : EXIT_DONE;
}

}  // namespace muster::cli
