// doctor: what is wrong with the cluster and with this machine, and what repairs it. admin certs:
// the certificates alone.
#include "cli/commands/doctor.h"

#include "base/version.h"
#include "cli/commands/session.h"
#include "cli/doctor/certificate_checks.h"
#include "cli/doctor/cluster_checks.h"
#include "cli/doctor/machine_checks.h"
#include "cli/exit_code.h"
#include "cli/local_cluster/local_doctor.h"
#include "sharding/text.h"

#include <limits.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <unistd.h>

namespace muster::cli {
namespace {

std::string hostName() {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, sizeof(name) - 1);
  return name;
}

using Local = std::optional<LocalLayout>;

// Nothing for a cluster of units, and where no context is chosen.
Local localCluster(Invocation& invocation) {
  auto context = chooseContext(invocation.arguments.value("--context"), invocation.environment);
  return context ? localClusterOf(context->file) : std::nullopt;
}

// A cluster that cannot be asked is a finding, not the end of the examination.
Checks unreachable(const Refusal& refusal, const Remedies& remedies) {
  std::string fix = refusal.fixes.empty() ? "" : refusal.fixes.front();
  if (refusal.code == RefusalCode::NO_LEADER) {
    fix = remedies.away("systemctl status muster-coordinator, on the coordinators' machines");
  }
  return {{Verdict::FAILED, "cluster", refusal.text, fix}};
}

Checks examineCluster(Invocation& invocation, const std::string& node, const Remedies& remedies) {
  auto session = Session::open(invocation);
  if (!session) return unreachable(session.refusal(), remedies);
  WallTime asked = invocation.clock.wallNow();
  auto status = (*session)->ask(adminStatusCall());
  WallTime answered = invocation.clock.wallNow();
  if (!status) return unreachable(status.refusal(), remedies);
  auto nodes = (*session)->ask(getCall("nodes", node, {.asks = Asks::LEADER_IF_ANY}));
  if (!nodes) return unreachable(nodes.refusal(), remedies);
  Json cluster = printableJson(status->json);
  Checks checks = node.empty() ? checkCoordinators(cluster, remedies) : Checks{};
  for (Check& check : checkClockBeside(cluster, asked, answered)) {
    checks.push_back(std::move(check));
  }
  Checks ofNodes = checkNodes(printableJson(nodes->json), VERSION, remedies);
  std::move(ofNodes.begin(), ofNodes.end(), std::back_inserter(checks));
  return checks;
}

uint64_t count(const Checks& checks, Verdict verdict) {
  return static_cast<uint64_t>(std::count_if(
      checks.begin(), checks.end(), [&](const Check& check) { return check.verdict == verdict; }));
}

std::string_view toText(Verdict verdict) {
  switch (verdict) {
    case Verdict::OK:
      return "ok";
    case Verdict::WARNING:
      return "warn";
    case Verdict::FAILED:
      return "FAIL";
  }
  return "";
}

Json toJson(const Checks& checks) {
  Json items = Json::array();
  for (const Check& check : checks) {
    items.push_back({{"kind", "check"},
                     {"verdict", toText(check.verdict)},
                     {"name", check.subject},
                     {"message", check.text},
                     {"fix", check.fix}});
  }
  return {{"version", 1}, {"items", std::move(items)}};
}

std::string forPeople(const Checks& checks, const ViewOptions& view, Width width) {
  std::string text = sharding::counted(checks.size(), "check") + ": " +
                     std::to_string(count(checks, Verdict::OK)) + " ok, " +
                     sharding::counted(count(checks, Verdict::WARNING), "warning") + ", " +
                     std::to_string(count(checks, Verdict::FAILED)) + " failed\n";
  Table table;
  for (const Check& check : checks) {
    if (check.verdict == Verdict::OK && width != Width::WIDE) continue;
    Paint paint = check.verdict == Verdict::OK        ? Paint::GOOD
                  : check.verdict == Verdict::WARNING ? Paint::BUSY
                                                      : Paint::BAD;
    table.add({Cell(std::string(toText(check.verdict)), paint), check.subject, check.text,
               check.fix.empty() ? "" : "fix: " + check.fix});
  }
  return text + table.toText(view.paint, 2);
}

// `width`: whether those that are well are shown to people, too.
Result<int> show(Invocation& invocation, const Checks& checks, Width width) {
  auto shown = print(invocation, toJson(checks),
                     [&](const Json&) { return forPeople(checks, invocation.view(), width); });
  if (!shown || *shown != EXIT_DONE) return shown;
  return count(checks, Verdict::FAILED) > 0 ? EXIT_PROBLEMS : EXIT_DONE;
}

}  // namespace

Result<int> runDoctor(Invocation& invocation) {
  std::string node = invocation.arguments.word("NODE");
  Local local = localCluster(invocation);
  Checks checks = examineCluster(invocation, node, local ? remediesOf(*local) : Remedies());
  if (local || node.empty() || node == hostName()) {
    WallTime now = invocation.clock.wallNow();
    Checks here = local ? checkLocalCluster(*local, now) : checkMachine({}, now);
    std::move(here.begin(), here.end(), std::back_inserter(checks));
  } else {
    invocation.terminal.hint("the machine of " + node +
                             " itself is looked at by: muster doctor, there");
  }
  return show(invocation, checks, invocation.view().width);
}

Result<int> runAdminCerts(Invocation& invocation) {
  std::string folder = invocation.arguments.word("FOLDER");
  if (folder.empty()) folder = MachinePaths{}.config + "/pki";
  Checks checks = checkCertificates(folder, invocation.clock.wallNow());
  if (checks.empty()) {
    return Refusal{RefusalCode::NOT_FOUND,
                   "there is no certificate in " + folder,
                   {},
                   {"muster admin certs FOLDER"}};
  }
  return show(invocation, checks, Width::WIDE);
}

}  // namespace muster::cli
