// The agent's side of a native rank: finds the model, starts muster-rank, hands it its task, asks
// how it goes.
#include "base/co.h"
#include "base/kj_time.h"
#include "base/rpc.h"
#include "base/short_socket_path.h"
#include "base/unix_control.h"
#include "protocol/codec.h"
#include "protocol/rank.capnp.h"
#include "worker/engine/native/native_rank.h"
#include "worker/engine/native/operation_board.h"
#include "worker/hang_watch.h"
#include "worker/rank_unit.h"

#include <algorithm>
#include <utility>

namespace muster::worker {
namespace {

constexpr Duration ASK_INTERVAL = 100_ms;        // while it starts
constexpr Duration ASK_INTERVAL_READY = 500_ms;  // once it is Ready
// For an answer, unless the stall time is less.
constexpr Duration ANSWER_DEADLINE_MIN = 1_s;
constexpr Duration ANSWER_DEADLINE_MAX = 5_s;
// For a control socket, likewise: a loaded machine may take its time to start a process.
constexpr Duration SOCKET_DEADLINE_MIN = 5_s;
constexpr Duration SOCKET_DEADLINE_MAX = 20_s;

class NativeUnit final : public RankUnit {
 public:
  using RankUnit::RankUnit;

  void meet(const std::string& rendezvous) override {
    if (rendezvous.empty() || assignment_.rendezvous == rendezvous) return;
    assignment_.rendezvous = rendezvous;
    if (control_.get() != nullptr) tasks_.add(tellMeeting());
  }

 protected:
  kj::Promise<void> run(bool adopted) override { return runCo(adopted); }

  kj::Promise<void> askToLeave() override {
    if (control_.get() == nullptr) return kj::READY_NOW;
    return client().stopRequest().send().ignoreResult();
  }

  RefusalCode exitCode() const override { return RefusalCode::RANK_CRASHED; }
  // Ours tells its errors itself; what it logs besides is about its progress.
  bool lastLinesTell() const override { return false; }

  bool isSameProcess(const Assignment& next) const override {
    return isSameWork(assignment_, next);
  }
  std::string lastOperation() const override {
    auto last = readOperationBoard(boardPath());
    return last ? toText(*last) : "";
  }
  // Not connected yet: the process gets the newest assignment as soon as we are.
  void tellAdvance() override {
    if (control_.get() != nullptr) tasks_.add(sendAdvance());
  }

 private:
  Co<void> runCo(bool adopted) {
    if (!adopted) {
      bool found = co_await findModel();
      if (!found) co_return;
      bool started = startProcess();
      if (!started) co_return;
    }
    co_await connect();
    if (over()) co_return;
    RankReport first = co_await ask();
    if (first.ref == RankRef()) {
      bool taken = co_await handOver();
      if (!taken) co_return;
    } else if (first.ref != assignment_.ref) {
      co_await sendAdvance();
    } else if (!assignment_.rendezvous.empty()) {
      co_await tellMeeting();
    }
    co_await follow();
  }

  std::string boardPath() const { return folder_.path() + "/" + OPERATION_BOARD_NAME; }

  bool startProcess() {
    ProcessSpec spec;
    spec.argv = {environment_.rankBinary, "--control", folder_.controlSocket()};
    spec.env = {"PATH=/usr/bin:/bin"};
    if (auto gpu = gpuOfRank(); !gpu.empty()) spec.env.push_back("CUDA_VISIBLE_DEVICES=" + gpu);
    spec.cwd = folder_.path();
    auto spawned = spawn(std::move(spec));
    if (!spawned) fail(Reason::RANK_CRASHED, spawned.refusal().text);
    return spawned.ok();
  }

  // UUID of the GPU that this rank was given; empty: a declared device, whatever it is called,
  // where it computes on the CPU.
  std::string gpuOfRank() const {
    for (const DeviceInfo& device : environment_.devices) {
      bool isOurs = !assignment_.devices.empty() && device.index == assignment_.devices.front();
      if (isOurs && !device.busId.empty()) return device.uuid;
    }
    return "";
  }

  // The manifest this rank was planned from, read again from this node's files: the plan fits only
  // the same model. Without such files, as the leader has it, and who may have the files.
  Co<bool> findModel() {
    enter(ReplicaPhase::FETCHING, "");
    auto manifest = co_await environment_.inspection.inspect(assignment_.modelSource);
    std::string problem = problemOf(manifest);
    if (problem.empty()) {
      manifest_ = std::move(*manifest);
      co_return true;
    }
    bool found = co_await findPeers(std::move(problem));
    co_return found;
  }

  // Why the files of this node are not those that were planned for; empty: they are.
  std::string problemOf(const Result<ModelManifest>& manifest) const {
    if (!manifest) return manifest.refusal().text;
    if (manifest->digest == assignment_.manifestDigest) return "";
    return assignment_.modelSource + " on this node differs from the model that was planned (" +
           manifest->digest + " here, " + assignment_.manifestDigest + " there)";
  }

  Co<bool> findPeers(std::string missing) {
    if (environment_.directory == nullptr) {
      fail(Reason::FETCH_FAILED, missing);
      co_return false;
    }
    enter(ReplicaPhase::FETCHING, missing + "; the leader is asked which nodes have it");
    auto found = co_await environment_.directory->find(assignment_.ref);
    if (over()) co_return false;
    std::string why;
    if (!found) {
      why = found.refusal().text;
    } else if (found->manifest.digest != assignment_.manifestDigest) {
      why = "the cluster's model has changed";
    } else if (found->peers.empty()) {
      why = "none serves weights (weights.listen in worker.toml)";
    }
    if (!why.empty()) {
      fail(Reason::FETCH_FAILED, missing + "; other nodes were asked for: " + why);
      co_return false;
    }
    weights_ = std::move(*found);
    weights_.missing = std::move(missing);
    manifest_ = std::exchange(weights_.manifest, {});
    co_return true;
  }

  Co<void> connect() {
    Duration patience =
        std::clamp(assignment_.timeouts.stall, SOCKET_DEADLINE_MIN, SOCKET_DEADLINE_MAX);
    SteadyTime deadline = environment_.clock.steadyNow() + patience;
    for (;;) {
      bool connected = co_await tryConnect();
      if (connected || over()) break;
      if (environment_.clock.steadyNow() >= deadline) {
        stall("it hangs: its control socket did not appear within " + toText(patience));
        break;
      }
      co_await environment_.timer.afterDelay(20 * kj::MILLISECONDS);
    }
  }

  kj::Promise<bool> tryConnect() {
    auto socket = kj::heap<ShortSocketPath>(folder_.controlSocket());
    return connectUnix(environment_.network, socket->path)
        .attach(kj::mv(socket))
        .then([this](kj::Own<Connection> connection) {
          control_ = kj::heap<RpcConnection>(kj::mv(connection), environment_.timer,
                                             capnp::rpc::twoparty::Side::CLIENT, nullptr);
          return true;
        })
        .catch_([](kj::Exception&&) { return false; });
  }

  schema::RankControl::Client client() { return control_->bootstrap<schema::RankControl>(); }

  kj::Promise<RankReport> ask() {
    auto answer = client().statusRequest().send().then(
        [](capnp::Response<schema::RankControl::StatusResults>&& response) {
          return decode(response.getReport());
        });
    return unlessItHangs(kj::mv(answer));
  }

  Duration answerDeadline() const {
    return std::clamp(assignment_.timeouts.stall, ANSWER_DEADLINE_MIN, ANSWER_DEADLINE_MAX);
  }

  // Fails the rank as stalled when the answer takes too long.
  template <class T>
  kj::Promise<T> unlessItHangs(kj::Promise<T> answer) {
    auto late =
        environment_.timer.afterDelay(toKj(answerDeadline())).then([this]() -> kj::Promise<T> {
          return KJ_EXCEPTION(
              OVERLOADED, kj::str("it hangs: no answer for ", toText(answerDeadline()).c_str()));
        });
    return answer.exclusiveJoin(kj::mv(late));
  }

  Co<bool> handOver() {
    if (manifest_.digest.empty()) {  // adopted before its first agent could hand it over
      bool found = co_await findModel();
      if (!found) co_return false;
    }
    auto request = client().startRequest();
    auto task = request.initTask();
    encode(assignment_, task.initAssignment());
    encode(manifest_, task.initManifest());
    task.setListenAddress(environment_.address);
    task.setJoinTimeoutNs(assignment_.timeouts.ready.nanos);
    auto roots = task.initModelRoots(static_cast<uint32_t>(environment_.modelRoots.size()));
    for (uint32_t i = 0; i < roots.size(); ++i) roots.set(i, environment_.modelRoots[i]);
    task.setGpu(gpuOfRank());
    task.getTls().setCa(environment_.tls.ca);
    task.getTls().setCertificate(environment_.tls.certificate);
    task.getTls().setKey(environment_.tls.key);
    task.setCluster(environment_.cluster.value);
    encode(weights_, task.initWeights());
    task.setCacheFolder(environment_.cacheFolder);
    task.setCacheBytesMax(environment_.cacheMax.count);
    auto sent =
        request.send().then([](capnp::Response<schema::RankControl::StartResults>&& answer) {
          return decode(answer.getRefusal());
        });
    Refusal refusal = co_await unlessItHangs(kj::mv(sent));
    if (static_cast<uint16_t>(refusal.code) == 0) co_return true;
    fail(Reason::RANK_CRASHED, refusal.text);
    co_return false;
  }

  kj::Promise<void> tellMeeting() {
    auto request = client().meetRequest();
    request.setRendezvous(assignment_.rendezvous);
    return unlessItHangs(request.send().ignoreResult());
  }

  kj::Promise<void> sendAdvance() {
    auto request = client().advanceRequest();
    encode(assignment_, request.initAssignment());
    auto answer =
        request.send().then([this](capnp::Response<schema::RankControl::AdvanceResults>&& taken) {
          if (!taken.hasRefusal()) return;
          Refusal refusal = decode(taken.getRefusal());
          if (refusal.code == RefusalCode{}) return;
          fail(Reason::RANK_CRASHED, "it cannot go on: " + refusal.text);
        });
    return unlessItHangs(kj::mv(answer));
  }

  // Asks again and again. A rank that neither answers nor gets on within the stall time is failed
  // by name.
  Co<void> follow() {
    HangWatch watch(assignment_.timeouts.stall, environment_.clock.steadyNow());
    while (!over()) {
      RankReport told = co_await ask();
      watch.look(told, readOperationBoard(boardPath()), environment_.clock.steadyNow());
      take(std::move(told));
      if (watch.hangs()) stall("it hangs: " + watch.text());
      Duration pause = report_.phase == ReplicaPhase::READY ? ASK_INTERVAL_READY : ASK_INTERVAL;
      co_await environment_.timer.afterDelay(toKj(pause));
    }
  }

  void take(RankReport told) {
    // An answer from before it heard of its generation says nothing about this one.
    if (over() || told.ref != assignment_.ref) return;
    bool news = told.phase != report_.phase || told.rendezvous != report_.rendezvous ||
                told.message != report_.message || told.joined != report_.joined;
    if (told.phase == ReplicaPhase::FAILED) {
      report_.firstError = told.firstError;
      fail(told.reason, told.message);
      return;
    }
    told.pid = report_.pid;
    told.processStartTime = report_.processStartTime;
    report_ = std::move(told);
    if (news) changed();
  }

  ModelManifest manifest_;
  WeightSources weights_;  // without peers: the files are on this node
  kj::Own<RpcConnection> control_;
};

}  // namespace

kj::Own<RankUnit> makeNativeUnit(RankEnvironment& environment, RankFolder folder,
                                 Assignment assignment, kj::Function<void()> onChange) {
  return kj::heap<NativeUnit>(environment, std::move(folder), std::move(assignment),
                              kj::mv(onChange));
}

}  // namespace muster::worker
