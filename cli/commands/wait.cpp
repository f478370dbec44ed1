#include "cli/commands/wait.h"

#include "base/kj_time.h"
#include "cli/exit_code.h"

namespace muster::cli {
namespace {

// Progress is not in the log, so it is looked at again even when the log stands still.
constexpr Duration LOOK_EVERY = 1_s;

enum class Standing : uint8_t { COMING, SERVING, FAILED, REPLACED };

Standing standingOf(const Json& deployment, uint64_t revision) {
  std::string phase = textAt(deployment, "/status/phase");
  if (numberAt(deployment, "/revision") > revision) return Standing::REPLACED;
  if (phase == "Failed") return Standing::FAILED;
  bool isCurrent = numberAt(deployment, "/status/observed_revision") >= revision;
  bool isEmpty = numberAt(deployment, "/status/replicas/desired") == 0 && phase == "Stopped";
  return isCurrent && (phase == "Ready" || isEmpty) ? Standing::SERVING : Standing::COMING;
}

// "Pending (WaitingForCapacity)".
std::string standingText(const Json& deployment) {
  std::string reason = textAt(deployment, "/status/reason");
  return orDash(textAt(deployment, "/status/phase")) + (reason.empty() ? "" : " (" + reason + ")");
}

class Waiter {
 public:
  Waiter(Invocation& invocation, Session& session, std::vector<AppliedDeployment> deployments,
         Duration limit)
      : invocation_(invocation),
        session_(session),
        deployments_(std::move(deployments)),
        limit_(limit),
        end_(session.now() + toKj(limit)) {}

  Result<int> run() {
    for (;;) {
      bool allServe = true;
      std::vector<std::string> lines;
      std::string notServing;
      for (const auto& one : deployments_) {
        auto standing = look(one, lines);
        if (!standing) return standing.refusal();
        if (*standing == Standing::FAILED) return fail(one);
        if (*standing == Standing::REPLACED) return replaced(one);
        if (*standing == Standing::COMING) notServing = one.reference;
        allServe &= *standing == Standing::SERVING;
      }
      invocation_.terminal.progress(lines);
      if (allServe) return succeed();
      if (session_.now() >= end_) return late(notServing);
    }
  }

 private:
  // Reads one deployment and its replicas; the first read of a round waits for something new.
  Result<Standing> look(const AppliedDeployment& one, std::vector<std::string>& lines) {
    ReadChoice choice{.after = seen_, .waitLimit = seen_ == LogIndex{} ? Duration{} : LOOK_EVERY};
    auto reply = session_.ask(getCall("deployments", one.reference, choice));
    if (!reply) return reply.refusal();
    seen_ = std::max(seen_, reply->index);
    const Json& items = listAt(reply->json, "/items");
    if (items.empty()) {
      return Refusal{RefusalCode::NOT_FOUND, one.reference + " was deleted meanwhile"};
    }
    last_ = printableJson(items[0]);
    auto replicas = session_.ask(getCall("replicas", one.reference));
    if (!replicas) return replicas.refusal();
    Json shown = printableJson(replicas->json);
    for (const auto& replica : listAt(shown, "/items")) {
      lines.push_back(viewProgress(replica, invocation_.view()));
    }
    return standingOf(items[0], one.revision);
  }

  Result<int> succeed() {
    invocation_.terminal.endProgress();
    for (const auto& one : deployments_) invocation_.terminal.hint(one.reference + " serves");
    return EXIT_DONE;
  }

  Result<int> fail(const AppliedDeployment& one) {
    std::string text = one.reference + " failed: " + orDash(noteOf(last_, "/status"));
    std::vector<std::string> fixes;
    for (const auto& fix : listAt(last_, "/status/fix")) fixes.push_back(textAt(fix, ""));
    fixes.push_back("muster logs " + one.reference + " --first-error");
    invocation_.terminal.fail({RefusalCode::ENGINE_EXITED, text, {}, fixes});
    return EXIT_FAILED;
  }

  static Result<int> replaced(const AppliedDeployment& one) {
    return Refusal{RefusalCode::REVISION_CONFLICT,
                   one.reference + " was changed by someone else: revision " +
                       std::to_string(one.revision) + " is not the newest any more",
                   {},
                   {"muster describe " + one.reference}};
  }

  Result<int> late(const std::string& reference) const {
    return Refusal{RefusalCode::TIMED_OUT,
                   reference + " does not serve after " + toText(limit_) + ": " +
                       standingText(last_) + "; the rollout goes on",
                   {},
                   {"muster why " + reference}};
  }

  Invocation& invocation_;
  Session& session_;
  std::vector<AppliedDeployment> deployments_;
  Duration limit_;
  kj::TimePoint end_;
  LogIndex seen_;
  Json last_;  // the deployment looked at last
};

}  // namespace

Result<int> waitUntilServing(Invocation& invocation, Session& session,
                             std::vector<AppliedDeployment> deployments, Duration limit) {
  if (deployments.empty()) return EXIT_DONE;
  session.setDetached("the rollout goes on: muster get replicas " + deployments[0].reference +
                      " -w");
  return Waiter(invocation, session, std::move(deployments), limit).run();
}

}  // namespace muster::cli
