#include "worker/rank_unit.h"

#include "base/kj_time.h"

#include <kj/debug.h>

#include <algorithm>
#include <optional>
#include <signal.h>
#include <utility>

namespace muster::worker {
namespace {

// Of a process that does not run by no fault of its program; else empty.
std::string processStateText(uint32_t pid) {
  auto stat = pid == 0 ? std::nullopt : readProcessStat(static_cast<int32_t>(pid));
  if (!stat) return "";
  if (stat->state == 'T' || stat->state == 't') return "; its process is stopped";
  if (stat->state == 'D') return "; its process waits in the kernel, for a disk or a driver";
  return "";
}

}  // namespace

RankUnit::RankUnit(RankEnvironment& environment, RankFolder folder, Assignment assignment,
                   kj::Function<void()> onChange)
    : environment_(environment),
      folder_(std::move(folder)),
      assignment_(std::move(assignment)),
      onChange_(kj::mv(onChange)),
      tasks_([this](kj::Exception&& exception) {
        bool isLate = exception.getType() == kj::Exception::Type::OVERLOADED;
        if (isLate) return stall(exception.getDescription().cStr());
        fail(Reason::RANK_CRASHED, exception.getDescription().cStr());
      }) {
  report_.ref = assignment_.ref;
}

void RankUnit::begin() {
  bool adopted = adopt();
  if (!adopted && folder_.loadProcess()) {
    fail(Reason::RANK_CRASHED, "its process ended while no agent watched it");
    return;
  }
  tasks_.add(run(adopted));
}

bool RankUnit::adopt() {
  auto id = folder_.loadProcess();
  if (!id) return false;
  KJ_IF_MAYBE (process, environment_.processes.adopt(*id)) {
    process_ = kj::mv(*process);
    report_.pid = static_cast<uint32_t>(id->pid);
    report_.processStartTime = id->startTicks;
    environment_.log.info("adopted a running rank",
                          {{"rank", folderName(report_.ref)}, {"pid", id->pid}});
    watchExit();
    return true;
  }
  return false;
}

Result<Done> RankUnit::spawn(ProcessSpec spec) {
  spec.stdoutFile = folder_.outputFile();
  spec.stderrFile = folder_.outputFile();
  spec.session = Session::OWN;
  auto failed = kj::runCatchingExceptions([&] { process_ = environment_.processes.spawn(spec); });
  KJ_IF_MAYBE (exception, failed) {
    return Refusal{.code = RefusalCode::ENGINE_EXITED, .text = exception->getDescription().cStr()};
  }
  ProcessId id = process_->id();
  report_.pid = static_cast<uint32_t>(id.pid);
  report_.processStartTime = id.startTicks;
  watchExit();
  return folder_.saveProcess(id);
}

void RankUnit::watchExit() {
  tasks_.add(process_->onExit().then([this](ExitStatus status) { ended(status); }));
}

void RankUnit::ended(ExitStatus status) {
  environment_.log.info("a rank's process has ended",
                        {{"rank", folderName(report_.ref)}, {"how", toText(status)}});
  report_.pid = 0;  // from here on its devices are free
  changed();
  if (stopping_) return;
  fail(exitCode() == RefusalCode::ENGINE_EXITED ? Reason::ENGINE_EXITED : Reason::RANK_CRASHED,
       "its process ended: " + toText(status));
}

void RankUnit::enter(ReplicaPhase phase, std::string message) {
  if (over() || (report_.phase == phase && report_.message == message)) return;
  report_.phase = phase;
  report_.message = std::move(message);
  changed();
}

void RankUnit::fail(Reason reason, std::string message) {
  if (over()) return;
  report_.phase = ReplicaPhase::FAILED;
  report_.reason = reason;
  report_.message = std::move(message);
  if (report_.firstError.empty()) report_.firstError = causeFromOutput();
  environment_.log.warn("a rank failed",
                        {{"rank", folderName(report_.ref)}, {"why", report_.message}});
  if (process_.get() != nullptr) process_->kill(SIGKILL, KillScope::GROUP);
  changed();
}

void RankUnit::stall(std::string message) {
  if (over()) return;
  message += processStateText(report_.pid);
  std::string last = lastOperation();
  if (!last.empty()) message += "; its last operation: " + last;
  fail(Reason::RANK_STALLED, std::move(message));
}

std::string RankUnit::causeFromOutput() {
  constexpr uint32_t LINES = 200;
  if (firstError_.text().empty()) firstError_.take(lastLines(folder_.outputFile(), LINES));
  bool tells = firstError_.found() || (lastLinesTell() && !firstError_.text().empty());
  return tells ? firstError_.text() : report_.message;
}

void RankUnit::advance(RankFolder folder, const Assignment& next) {
  environment_.log.info("a rank goes on in the next generation",
                        {{"rank", folderName(next.ref)}, {"pid", report_.pid}});
  folder_ = std::move(folder);
  assignment_ = next;
  report_.ref = next.ref;
  report_.phase = std::min(report_.phase, ReplicaPhase::JOINING);
  report_.message.clear();
  report_.rendezvous.clear();
  report_.joined.clear();
  tellAdvance();
  changed();
}

kj::Promise<void> RankUnit::stop() {
  bool failed = report_.phase == ReplicaPhase::FAILED;
  stopping_ = true;
  if (process_.get() == nullptr) return kj::READY_NOW;
  if (failed) {
    process_->kill(SIGKILL, KillScope::GROUP);
  } else {
    report_.phase = ReplicaPhase::DRAINING;
    report_.message = "stopping";
    changed();
  }
  return endProcess();
}

kj::Promise<void> RankUnit::endProcess() {
  constexpr Duration ASKING = 2_s;
  auto asked = withDeadline(environment_.timer, ASKING, "asking a rank to leave", askToLeave())
                   .catch_([](kj::Exception&&) {})
                   .then([this] { process_->kill(SIGTERM, KillScope::GROUP); });
  Duration patience = std::max(ASKING, assignment_.timeouts.drain);
  auto impatient = environment_.timer.afterDelay(toKj(patience)).then([this] {
    process_->kill(SIGKILL, KillScope::GROUP);
    return process_->onExit().ignoreResult();
  });
  auto gone = process_->onExit().ignoreResult();
  return gone.exclusiveJoin(kj::mv(impatient)).attach(asked.eagerlyEvaluate(nullptr));
}

}  // namespace muster::worker
