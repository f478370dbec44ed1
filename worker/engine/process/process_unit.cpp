// A rank of the process engine: any program. Its readiness, its stalls and its first error are
// judged from outside.
#include "base/co.h"
#include "base/http_client.h"
#include "base/kj_time.h"
#include "worker/engine/process/process_environment.h"
#include "worker/model_roots.h"
#include "worker/rank_unit.h"
#include "worker/stall_watch.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace muster::worker {
namespace {

constexpr Duration LOOK_INTERVAL = 200_ms;  // until it is Ready
constexpr Duration LOOK_INTERVAL_READY = 2_s;
constexpr std::string_view FILE_SCHEME = "file:";

class ProcessUnit final : public RankUnit {
 public:
  ProcessUnit(RankEnvironment& environment, RankFolder folder, Assignment assignment,
              kj::Function<void()> onChange)
      : RankUnit(environment, std::move(folder), std::move(assignment), kj::mv(onChange)),
        tail_(folder_.outputFile()),
        meeting_(kj::newPromiseAndFulfiller<void>()) {
    place_.address = environment_.address;
    place_.rendezvous = assignment_.rendezvous;
  }

  void meet(const std::string& rendezvous) override {
    if (rendezvous.empty() || !place_.rendezvous.empty()) return;
    place_.rendezvous = rendezvous;
    meeting_.fulfiller->fulfill();
  }

 protected:
  kj::Promise<void> run(bool adopted) override { return runCo(adopted); }
  RefusalCode exitCode() const override { return RefusalCode::ENGINE_EXITED; }

 private:
  Co<void> runCo(bool adopted) {
    startedAt_ = environment_.clock.steadyNow();
    if (adopted) {
      bool known = restorePlace();
      if (!known) {
        fail(Reason::RANK_CRASHED, "what the earlier agent noted about it cannot be read");
        co_return;
      }
    } else {
      bool placed = co_await findPlace();
      if (!placed || over()) co_return;
      bool started = startProcess();
      if (!started) co_return;
    }
    enter(ReplicaPhase::LOADING, "");
    co_await follow();
  }

  bool startProcess() {
    ProcessSpec spec;
    spec.argv = processCommand(assignment_.engine);
    spec.env = processEnvironment(assignment_, place_);
    spec.cwd = folder_.path();
    auto spawned = spawn(std::move(spec));
    if (!spawned) fail(Reason::ENGINE_EXITED, spawned.refusal().text);
    return spawned.ok();
  }

  // Port, model and meeting point. Rank 0 chooses where the group meets; the others wait to hear of
  // it.
  Co<bool> findPlace() {
    bool found = findModel();
    if (!found) co_return false;
    place_.port = co_await freePort();
    if (assignment_.ref.rank.value == 0) {
      if (place_.rendezvous.empty()) {
        uint16_t port = co_await freePort();
        place_.rendezvous = place_.address + ":" + std::to_string(port);
      }
    } else if (place_.rendezvous.empty()) {
      enter(ReplicaPhase::PENDING, "waiting for rank 0 to say where the group meets");
      co_await kj::mv(meeting_.promise);
    }
    report_.rendezvous = assignment_.ref.rank.value == 0 ? place_.rendezvous : "";
    co_return savePlace();
  }

  bool findModel() {
    if (!assignment_.modelSource.starts_with(FILE_SCHEME)) return true;
    auto folder = ModelRoots(environment_.modelRoots).openModel(assignment_.modelSource);
    if (!folder) {
      fail(Reason::FETCH_FAILED, folder.refusal().text);
      return false;
    }
    place_.modelPath = folder->path;
    return true;
  }

  // A port that was free a moment ago. The program binds it itself, so nobody can hold it for the
  // program meanwhile.
  kj::Promise<uint16_t> freePort() {
    return environment_.network.parseAddress(environment_.address.c_str(), 0)
        .then([](kj::Own<kj::NetworkAddress> address) {
          return static_cast<uint16_t>(address->listen()->getPort());
        });
  }

  bool savePlace() {
    auto saved = folder_.saveNote("port " + std::to_string(place_.port) + "\nrendezvous " +
                                  place_.rendezvous + "\n");
    if (!saved) fail(Reason::ENGINE_EXITED, saved.refusal().text);
    return saved.ok();
  }

  bool restorePlace() {
    auto note = folder_.loadNote();
    if (!note) return false;
    unsigned port = 0;
    char rendezvous[256] = "";
    if (std::sscanf(note->c_str(), "port %u\nrendezvous %255s", &port, rendezvous) < 1)
      return false;
    place_.port = static_cast<uint16_t>(port);
    place_.rendezvous = rendezvous;
    report_.rendezvous = assignment_.ref.rank.value == 0 ? place_.rendezvous : "";
    return true;
  }

  Co<void> follow() {
    StallWatch stall(assignment_.timeouts.stall, environment_.clock.steadyNow());
    while (!over()) {
      auto lines = tail_.newLines();
      firstError_.take(lines);
      bool well = co_await looksReady(lines);
      SteadyTime now = environment_.clock.steadyNow();
      stall.observe(tail_.bytesSeen(), now);
      if (well) stall.progressed(now);
      judge(well, stall.stalled(now), now);
      bool ready = report_.phase == ReplicaPhase::READY;
      co_await environment_.timer.afterDelay(toKj(ready ? LOOK_INTERVAL_READY : LOOK_INTERVAL));
    }
  }

  // With an HTTP path: it answers 2xx now. With a log line: it has been printed. With neither: it
  // runs.
  kj::Promise<bool> looksReady(const std::vector<std::string>& lines) {
    const auto& ready = assignment_.engine.ready;
    if (ready.httpPath) {
      return probeHttp(environment_.network, environment_.timer,
                       {.port = place_.port, .path = *ready.httpPath})
          .then([](Result<int> status) { return status && *status >= 200 && *status < 300; });
    }
    if (ready.logLine) {
      lineSeen_ =
          lineSeen_ || std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
            return line.find(*ready.logLine) != std::string::npos;
          });
      return lineSeen_;
    }
    return true;
  }

  void judge(bool well, bool stalled, SteadyTime now) {
    if (report_.phase == ReplicaPhase::READY) {
      if (!well && stalled) {
        fail(Reason::HEALTH_CHECK_FAILED,
             "its readiness probe has failed for " + toText(assignment_.timeouts.stall));
      }
      return;
    }
    Duration readyTimeout = assignment_.engine.ready.timeout.value_or(assignment_.timeouts.ready);
    if (well) {
      enter(ReplicaPhase::READY, "");
    } else if (now - startedAt_ >= readyTimeout) {
      fail(Reason::HEALTH_CHECK_FAILED, "not ready within " + toText(readyTimeout));
    } else if (stalled) {
      fail(Reason::RANK_STALLED,
           "it printed nothing for " + toText(assignment_.timeouts.stall) + " and is not ready");
    }
  }

  ProcessPlace place_;
  OutputTail tail_;
  kj::PromiseFulfillerPair<void> meeting_;
  SteadyTime startedAt_;
  bool lineSeen_ = false;
};

}  // namespace

kj::Own<RankUnit> makeProcessUnit(RankEnvironment& environment, RankFolder folder,
                                  Assignment assignment, kj::Function<void()> onChange) {
  return kj::heap<ProcessUnit>(environment, std::move(folder), std::move(assignment),
                               kj::mv(onChange));
}

}  // namespace muster::worker
