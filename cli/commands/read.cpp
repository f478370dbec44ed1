// ps, get, events, why, logs, admin status and step-down: one call each.
#include "cli/commands/commands.h"
#include "cli/commands/list.h"
#include "cli/exit_code.h"

namespace muster::cli {
namespace {

constexpr uint32_t LOG_LINES = 100;
constexpr uint32_t LOG_LINES_MAX = 10'000;

// Nodes, GPUs and models have names of their own; everything else belongs to a deployment.
Result<std::string> targetOf(const Invocation& invocation, const std::string& kind) {
  std::string word = invocation.arguments.word("REF");
  bool belongsToDeployment = kind == "deployments" || kind == "replicas" || kind == "ranks";
  if (word.empty() || !belongsToDeployment) return word;
  return referenceIn(invocation, word);
}

// The reply of one call, printed.
Result<int> show(Invocation& invocation, ClusterCall call,
                 std::string (*view)(const Json&, const ViewOptions&)) {
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  auto reply = (*session)->ask(std::move(call));
  if (!reply) return reply.refusal();
  return print(invocation, reply->json,
               [&](const Json& shown) { return view(shown, invocation.view()); });
}

std::string viewStepDown(const Json& change, const ViewOptions& options) {
  return viewChange(change, Carried::OUT, options);
}

}  // namespace

Result<int> runPs(Invocation& invocation) {
  return runList(invocation, {"deployments", "", [&](const Json& items) {
                                return viewDeployments(items, invocation.view());
                              }});
}

Result<int> runGet(Invocation& invocation) {
  std::string kind = invocation.arguments.word("KIND");
  auto target = targetOf(invocation, kind);
  if (!target) return invocation.wrongUsage(target.refusal());
  return runList(invocation, {kind, *target, [&](const Json& items) {
                                return viewList(kind, items, invocation.view());
                              }});
}

Result<int> runEvents(Invocation& invocation) {
  return runList(invocation,
                 {"events", invocation.arguments.value("--for"),
                  [&](const Json& items) { return viewEvents(items, invocation.view()); }});
}

Result<int> runWhy(Invocation& invocation) {
  auto reference = referenceIn(invocation, invocation.arguments.word("REF"));
  if (!reference) return invocation.wrongUsage(reference.refusal());
  return show(invocation, whyCall(*reference, readChoiceOf(invocation)), viewWhy);
}

Result<int> runLogs(Invocation& invocation) {
  auto reference = referenceIn(invocation, invocation.arguments.word("REF"));
  if (!reference) return invocation.wrongUsage(reference.refusal());
  auto lines = numberOf(invocation, "--lines", LOG_LINES, {1, LOG_LINES_MAX});
  if (!lines) return invocation.wrongUsage(lines.refusal());
  LogPart part = invocation.has("--first-error") ? LogPart::FIRST_ERROR : LogPart::ALL;
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  auto reply = (*session)->ask(logsCall(*reference, *lines, part));
  if (!reply) return reply.refusal();
  bool hasError = reply->json.contains("first_error") && reply->json.at("first_error").is_object();
  if (part == LogPart::FIRST_ERROR && !hasError && invocation.format.isForPeople()) {
    invocation.terminal.hint(*reference + " has no error");
    return EXIT_DONE;
  }
  // The lines are what was asked for; the error has a flag of its own.
  if (part == LogPart::ALL) reply->json.erase("first_error");
  return print(invocation, reply->json,
               [&](const Json& shown) { return viewLogs(shown, invocation.view()); });
}

Result<int> runAdminStatus(Invocation& invocation) {
  return show(invocation, adminStatusCall(), viewAdminStatus);
}

Result<int> runStepDown(Invocation& invocation) {
  return show(invocation, stepDownCall(invocation.arguments.value("--to")), viewStepDown);
}

}  // namespace muster::cli
