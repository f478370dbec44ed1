#include "cli/commands/commands.h"
#include "cli/commands/documents.h"
#include "cli/commands/session.h"
#include "cli/commands/wait.h"
#include "cli/exit_code.h"

#include <algorithm>
#include <filesystem>

namespace muster::cli {
namespace {

// As long as a replica may take by default to become Ready.
constexpr Duration WAIT_LIMIT = 30_min;

// "p-7f3a", unless there is a file of that name.
bool isPlanId(const std::string& word) {
  auto isPlain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return word.starts_with("p-") && word.size() > 2 && std::ranges::all_of(word, isPlain) &&
         !std::filesystem::exists(word);
}

std::vector<AppliedDeployment> appliedOf(const Json& change, const Invocation& invocation) {
  std::vector<AppliedDeployment> result;
  for (const auto& one : listAt(change, "/deployments")) {
    // The full reference, since the coordinator knows no tenant of ours.
    std::string tenant = invocation.has("--tenant") ? "" : "default";
    result.push_back({deploymentName(textAt(one, "/tenant"), textAt(one, "/name"), tenant),
                      numberAt(one, "/revision")});
  }
  return result;
}

Result<ApplyArguments> argumentsOf(const Invocation& invocation, const std::string& word,
                                   Revision expected) {
  ApplyArguments arguments{.expected = expected,
                           .dryRun = invocation.has("--dry-run") ? DryRun::YES : DryRun::NO};
  if (isPlanId(word)) {
    arguments.planId = word;
    return arguments;
  }
  auto checked = readDocuments(invocation, word);
  if (!checked) return checked.refusal();
  arguments.documents = checked->documents;
  return arguments;
}

}  // namespace

Result<int> runApply(Invocation& invocation) {
  std::string word = invocation.arguments.word("FILE");
  auto expected = numberOf(invocation, "--if-revision", 0, {1});
  if (!expected) return invocation.wrongUsage(expected.refusal());
  auto arguments = argumentsOf(invocation, word, {*expected});
  if (!arguments) return invocation.terminal.fail(arguments.refusal(), shownName(word));
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  auto reply = (*session)->ask(applyCall(*arguments));
  if (!reply) return invocation.terminal.fail(reply.refusal(), shownName(word));
  bool dry = arguments->dryRun == DryRun::YES;
  auto printed = print(invocation, reply->json, [&](const Json& change) {
    if (textAt(change, "/kind") == "plan") return viewPlan(change, invocation.view());
    return viewChange(change, dry ? Carried::DRY : Carried::OUT, invocation.view());
  });
  if (!printed || dry) return printed;
  if (!invocation.has("--wait")) {
    invocation.terminal.hint("next: muster ps -w");
    return printed;
  }
  Duration limit = invocation.has("--timeout") ? invocation.timeout : WAIT_LIMIT;
  return waitUntilServing(invocation, **session, appliedOf(reply->json, invocation), limit);
}

}  // namespace muster::cli
