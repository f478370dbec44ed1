// A rank of the process engine: any program. Its readiness, its stalls and its first error are
// judged from outside.
#include "base/co.h"
#include "base/http_client.h"
#include "base/kj_time.h"
#include "protocol/endpoint_note.h"
#include "protocol/engine_preset.h"
#include "protocol/launch.h"
#include "worker/engine/process/find_program.h"
#include "worker/engine/process/proxied_program.h"
#include "worker/model_roots.h"
#include "worker/rank_unit.h"
#include "worker/stall_watch.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace muster::worker {
namespace {

constexpr Duration LOOK_INTERVAL = 200_ms;  // until it is Ready
constexpr Duration LOOK_INTERVAL_READY = 2_s;
constexpr Duration REACH_DEADLINE = 2_s;
constexpr std::string_view FILE_SCHEME = "file:";

struct Place {
  std::string address;     // of this node
  uint16_t port = 0;       // the engine's own HTTP port
  uint16_t tlsPort = 0;    // where gateways come; 0: none, as with ranks of older agents
  std::string modelPath;   // resolved; empty when the deployment has no local model
  std::string rendezvous;  // "host:port"
};

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

  Launch launchHere() const {
    return launchOf(assignment_, {.address = place_.address,
                                  .port = std::to_string(place_.port),
                                  .modelPath = place_.modelPath,
                                  .rendezvous = place_.rendezvous,
                                  .devices = kindOf(environment_.devices, assignment_.devices)});
  }

  bool startProcess() {
    auto found = checkProgram();
    if (!found) {
      const Refusal& why = found.refusal();
      report_.firstError = why.text + "\nhelp: " + why.fixes.front();
      fail(Reason::ENGINE_EXITED, why.text);
      return false;
    }
    ProcessSpec spec;
    spec.argv = isProxied() ? commandOf(environment_.rankBinary, proxied()) : launch_.argv;
    for (const auto& [name, value] : launch_.env) {
      std::string variable = name;
      spec.env.push_back(variable.append("=").append(value));
    }
    spec.cwd = folder_.path();
    auto spawned = spawn(std::move(spec));
    if (!spawned) fail(Reason::ENGINE_EXITED, spawned.refusal().text);
    return spawned.ok();
  }

  Result<Done> checkProgram() const {
    ProgramPlace place{.folder = folder_.path(),
                       .path = launch_.env.at("PATH"),
                       .engine = std::string(toText(assignment_.engine.kind))};
    return checkProgramExists(launch_.argv, place);
  }

  // A program whose readiness is asked by HTTP answers requests on the same port.
  bool answersRequests() const {
    return assignment_.ref.rank.value == 0 && launch_.ready.httpPath.has_value();
  }
  bool isProxied() const { return answersRequests() && place_.tlsPort != 0; }

  ProxiedProgram proxied() const {
    return {.proxy = {.address = place_.address,
                      .port = place_.tlsPort,
                      .enginePort = place_.port,
                      .tls = environment_.tls},
            .argv = launch_.argv};
  }

  // Whether this rank chooses where the group meets, or where it can itself be met; the others wait
  // to hear of it.
  bool tellsMeeting() const {
    bool isHead = assignment_.ref.rank.value == 0;
    bool headTells = meetingOf(assignment_.engine.kind) == Meeting::HEAD;
    return headTells == isHead || assignment_.worldSize == 1;
  }

  void tellMeeting() { report_.rendezvous = tellsMeeting() ? place_.rendezvous : ""; }

  // Port, model and meeting point, and what follows from them.
  Co<bool> findPlace() {
    bool found = findModel();
    if (!found) co_return false;
    Ports ports = co_await freePorts();
    place_.port = ports.engine;
    place_.tlsPort = environment_.tls.certificate.empty() ? 0 : ports.tls;
    if (place_.rendezvous.empty() && tellsMeeting()) {
      place_.rendezvous = hostAndPort(ports.rendezvous);
    } else if (place_.rendezvous.empty()) {
      bool isHead = assignment_.ref.rank.value == 0;
      enter(ReplicaPhase::PENDING, isHead ? "waiting for the other ranks to say where they are"
                                          : "waiting for rank 0 to say where the group meets");
      co_await kj::mv(meeting_.promise);
    }
    launch_ = launchHere();
    if (!launch_.isMet) tellMeeting();
    co_return savePlace();
  }

  std::string endpoint() const {
    if (!answersRequests()) return "";
    return isProxied() ? "https://" + hostAndPort(place_.tlsPort)
                       : "http://" + hostAndPort(place_.port);
  }

  std::string hostAndPort(uint16_t port) const {
    bool isIpv6 = place_.address.find(':') != std::string::npos;
    std::string host = isIpv6 ? "[" + place_.address + "]" : place_.address;
    return host + ":" + std::to_string(port);
  }

  bool findModel() {
    if (!assignment_.modelSource.starts_with(FILE_SCHEME)) return true;
    auto opened = openModel(assignment_.modelSource);
    if (!opened) {
      fail(Reason::FETCH_FAILED, opened.refusal().text);
      return false;
    }
    place_.modelPath = opened->path;
    return true;
  }

  // The model's folder, or the one file that the engine reads.
  Result<OpenedPath> openModel(const std::string& source) const {
    ModelRoots roots(environment_.modelRoots);
    const EnginePreset* preset = findPreset(assignment_.engine.kind);
    if (preset == nullptr || preset->modelSuffix.empty()) return roots.openModel(source);
    size_t slash = source.rfind('/');
    auto folder = roots.openModel(source.substr(0, slash));
    if (!folder) return folder;
    return roots.openFile(*folder, source.substr(slash + 1));
  }

  struct Ports {
    uint16_t engine = 0;
    uint16_t tls = 0;
    uint16_t rendezvous = 0;
  };
  // Ports that were free a moment ago at every address. The programs bind them themselves, so
  // nobody can hold them for the programs meanwhile; only from each other they are kept apart.
  Co<Ports> freePorts() {
    auto anywhere = co_await environment_.network.parseAddress("0.0.0.0", 0);
    auto engine = anywhere->listen();
    auto tls = anywhere->listen();
    auto rendezvous = anywhere->listen();
    co_return Ports{static_cast<uint16_t>(engine->getPort()), static_cast<uint16_t>(tls->getPort()),
                    static_cast<uint16_t>(rendezvous->getPort())};
  }

  bool savePlace() {
    std::string note = "port " + std::to_string(place_.port) + "\n";
    if (!place_.rendezvous.empty()) note += "rendezvous " + place_.rendezvous + "\n";
    if (place_.tlsPort != 0) note += "tls_port " + std::to_string(place_.tlsPort) + "\n";
    auto saved = folder_.saveNote(note);
    if (!saved) fail(Reason::ENGINE_EXITED, saved.refusal().text);
    return saved.ok();
  }

  bool restorePlace() {
    std::istringstream words(folder_.loadNote().value_or(""));
    std::string key;
    std::string value;
    while (words >> key >> value) {
      if (key == "port") place_.port = static_cast<uint16_t>(std::stoul(value));
      if (key == "tls_port") place_.tlsPort = static_cast<uint16_t>(std::stoul(value));
      if (key == "rendezvous") place_.rendezvous = value;
    }
    if (place_.port == 0) return false;
    launch_ = launchHere();
    if (!launch_.isMet) tellMeeting();
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
    const ReadyProbe& ready = launch_.ready;
    if (launch_.isMet) return canBeReached(place_.rendezvous);
    if (ready.httpPath) {
      return probeHttp(environment_.network, environment_.timer,
                       {.port = place_.port, .path = *ready.httpPath})
          .then([this](Result<int> status) -> kj::Promise<bool> {
            bool well = status && *status >= 200 && *status < 300;
            if (!well || !isProxied()) return well;
            return canBeReached(hostAndPort(place_.tlsPort));  // or its proxy is gone
          });
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

  kj::Promise<bool> canBeReached(const std::string& address) {
    auto reached = environment_.network.parseAddress(address.c_str())
                       .then([](kj::Own<kj::NetworkAddress> address) {
                         auto connected = address->connect();
                         return connected.attach(kj::mv(address));
                       });
    return withDeadline(environment_.timer, REACH_DEADLINE, "reaching a rank", kj::mv(reached))
        .then([](kj::Own<kj::AsyncIoStream>&&) { return true; },
              [](kj::Exception&&) { return false; });
  }

  void judge(bool well, bool stalled, SteadyTime now) {
    if (report_.phase == ReplicaPhase::READY) {
      if (!well && stalled) {
        fail(Reason::HEALTH_CHECK_FAILED,
             "its readiness probe has failed for " + toText(assignment_.timeouts.stall));
      }
      return;
    }
    Duration readyTimeout = launch_.ready.timeout.value_or(assignment_.timeouts.ready);
    if (well) {
      tellMeeting();
      enter(ReplicaPhase::READY, endpointNote(endpoint()));
    } else if (now - startedAt_ >= readyTimeout) {
      fail(Reason::HEALTH_CHECK_FAILED, "not ready within " + toText(readyTimeout));
    } else if (stalled) {
      fail(Reason::RANK_STALLED,
           "it printed nothing for " + toText(assignment_.timeouts.stall) + " and is not ready");
    }
  }

  Place place_;
  Launch launch_;
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
