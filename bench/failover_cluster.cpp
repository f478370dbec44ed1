#include "bench/failover_cluster.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::bench {
namespace {

const ClusterName CLUSTER{"bench"};
const std::string NODE = "gpu01";
constexpr auto PATIENCE = 120 * kj::SECONDS;
constexpr uint64_t WRITES_AT_REST = 50;

class FakeAgent final : public schema::Agent::Server {
 public:
  virtual ~FakeAgent() noexcept(false) = default;
  kj::Promise<void> obey(ObeyContext context) override {
    context.getResults().initAnswer().setObeyed(context.getParams().getOrder().getStamp());
    return kj::READY_NOW;
  }
};

double msOf(Duration duration) { return static_cast<double>(duration.nanos) / 1e6; }

}  // namespace

void noteGaps(Report& report, const Gaps& gaps, const std::string& prefix) {
  report.figure(prefix + "runs", static_cast<double>(gaps.total.size()));
  report.figure(prefix + "min_ms", percentile(gaps.total, 1e-9));
  report.figure(prefix + "p50_ms", percentile(gaps.total, 0.5));
  report.figure(prefix + "p99_ms", percentile(gaps.total, 0.99));
  auto over = std::count(gaps.total.begin(), gaps.total.end(), GAP_MAX_MS);
  report.figure(prefix + "over_10_s", static_cast<double>(over));
  if (prefix.empty()) noteMedians(report, gaps);
}

void noteMedians(Report& report, const Gaps& gaps) {
  auto part = [&](const char* name, const std::vector<double>& values) {
    if (!values.empty()) report.figure(std::string("parts.") + name, percentile(values, 0.5));
  };
  part("detected_ms", gaps.detected);
  part("elected_ms", gaps.elected);
  part("caught_up_ms", gaps.caughtUp);
  part("first_commit_ms", gaps.firstCommit);
  part("first_answer_ms", gaps.firstAnswer);
}

void notePeers(Report& report) {
  report.figure("peer.slurm_22_05_min_ms", 1'800).figure("peer.slurm_22_05_max_ms", 3'700);
  report.figure("peer.slurm_22_05_lost_jobs_min", 3).figure("peer.slurm_22_05_lost_jobs_max", 222);
  report.figure("peer.etcd_tuned_min_ms", 200).figure("peer.etcd_tuned_max_ms", 360);
  report.figure("peer.zookeeper_min_ms", 400).figure("peer.zookeeper_max_ms", 800);
}

FailoverCluster::FailoverCluster(EventLoop& loop,
                                 const support::CoordinatorProcesses::ZookeeperOf& zookeeper)
    : loop_(loop), processes_(CLUSTER, zookeeper, 3) {
  bootstrap();
  for (size_t i = 0; i < processes_.count(); i++) {
    processes_.start(i);
    logs_.emplace_back(processes_.logPath(i));
  }
  transport_ = makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER,
                                processes_.certificate({Role::ADMIN, "bench"}));
  until("somebody serves", [&] { return leaderOf(1).has_value(); });
  registerNode();
  writes_ = kj::heap<WriteStream>(loop_, *transport_, addresses(), NODE);
}

// What lies between it and ZooKeeper may be ours: the event loop must turn meanwhile.
void FailoverCluster::bootstrap() {
  auto pid = support::spawnProgram(
      "muster-coordinator", {"--config", processes_.configPath(0), "--bootstrap"}, "/dev/stderr");
  until("the tree is made", [&] { return support::hasEnded(pid); });
  KJ_REQUIRE(support::awaitEnd(pid).code == 0, "the cluster could not be bootstrapped");
}

const ClusterName& FailoverCluster::name() const { return CLUSTER; }

std::vector<std::string> FailoverCluster::addresses() const {
  std::vector<std::string> addresses;
  for (size_t i = 0; i < processes_.count(); i++) addresses.push_back(processes_.address(i));
  return addresses;
}

void FailoverCluster::until(const std::string& what, std::function<bool()> isSo) {
  auto deadline = loop_.timer().now() + PATIENCE;
  while (!isSo()) {
    if (loop_.timer().now() >= deadline) {
      std::string logs;
      for (size_t i = 0; i < processes_.count(); i++) {
        std::string log = processes_.log(i);
        logs += "--- coordinator " + std::to_string(i + 1) + "\n" +
                log.substr(log.size() - std::min<size_t>(log.size(), 4000));
      }
      KJ_FAIL_REQUIRE("waited in vain", what.c_str(), logs.c_str());
    }
    loop_.timer().afterDelay(2 * kj::MILLISECONDS).wait(loop_.waitScope());
  }
}

void FailoverCluster::wait(Duration duration) {
  loop_.timer().afterDelay(toKj(duration)).wait(loop_.waitScope());
}

// A worker that attaches and goes: its node can be written to from then on.
void FailoverCluster::registerNode() {
  auto asWorker = makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER,
                                   processes_.certificate({Role::WORKER, NODE}));
  size_t leader = *leaderOf(1);
  auto connection =
      connectRpc(*asWorker, loop_.timer(), processes_.address(leader), Role::COORDINATOR)
          .wait(loop_.waitScope());
  auto request =
      connection->bootstrap<schema::Gate>().workerRequest().send().getGate().attachRequest();
  WorkerHello hello;
  hello.cluster = CLUSTER.value;
  hello.node.name = {NODE};
  hello.node.address = "127.0.0.1";
  hello.node.devices = {{{0}, "cpu", NODE + "-0", 4_GiB, 0}};
  hello.node.version = "bench";
  hello.incarnation = {1, 2};
  encode(hello, request.initHello());
  request.setAgent(kj::heap<FakeAgent>());
  auto response = request.send().wait(loop_.waitScope());
  KJ_REQUIRE(response.getAnswer().isAccepted());
  until("the node is registered", [&] { return applied(leader) >= 2; });
}

uint64_t FailoverCluster::applied(size_t member) {
  uint64_t index = 0;
  auto failed = kj::runCatchingExceptions([&] {
    auto connection =
        connectRpc(*transport_, loop_.timer(), processes_.address(member), Role::COORDINATOR)
            .wait(loop_.waitScope());
    auto gate = connection->bootstrap<schema::Gate>();
    index = gate.helloRequest().send().wait(loop_.waitScope()).getInfo().getAppliedIndex();
  });
  return failed == nullptr ? index : 0;
}

void FailoverCluster::fillTo(uint64_t records) {
  until("writes flow", [&] { return writes_->epoch() > 0; });
  uint64_t have = writes_->acknowledged();
  if (have < records) writes_->fill(records - have).wait(loop_.waitScope());
  uint64_t index = writes_->index();
  for (size_t i = 0; i < processes_.count(); i++) {
    until("all have applied it", [&] { return applied(i) >= index; });
  }
}

std::optional<size_t> FailoverCluster::leaderOf(uint64_t epoch) {
  for (size_t i = 0; i < logs_.size(); i++) {
    if (!logs_[i].said("serving", epoch).empty()) return i;
  }
  return std::nullopt;
}

size_t FailoverCluster::settle() {
  until("a write is acknowledged", [&] { return epoch() > 0; });
  until("its leader is known", [&] { return leaderOf(epoch()).has_value(); });
  until("the others watch it", [&] {
    auto leader = leaderOf(epoch());
    for (size_t i = 0; i < logs_.size(); i++) {
      bool leads = i == leader;
      if (!leads && logs_[i].said("watches the leader", epoch()).empty()) return false;
    }
    return leader.has_value();
  });
  return awaitWrites();
}

size_t FailoverCluster::settleWithoutGuesses() {
  until("a write is acknowledged", [&] { return epoch() > 0; });
  uint64_t index = writes_->index();
  for (size_t i = 0; i < processes_.count(); i++) {
    until("all have applied it", [&] { return applied(i) >= index; });
  }
  wait(1_s);  // whoever has caught up stands in line soon after
  return awaitWrites();
}

size_t FailoverCluster::awaitWrites() {
  uint64_t before = writes_->acknowledged();
  until("writes flow", [&] { return writes_->acknowledged() > before + WRITES_AT_REST; });
  until("its leader is known", [&] { return leaderOf(epoch()).has_value(); });
  return *leaderOf(epoch());
}

// What the process said in its former life is no sign of anything now.
void FailoverCluster::start(size_t member) {
  logs_[member].forget();
  processes_.start(member);
}

void FailoverCluster::noteGap(Gaps& gaps, uint64_t epoch, SteadyTime since) {
  until("a newer epoch acknowledges", [&] { return this->epoch() > epoch; });
  Duration gap = writes_->epochSeen() - since;
  gaps.total.push_back(std::min(msOf(gap), GAP_MAX_MS));
  noteParts(gaps, this->epoch(), since);
}

void FailoverCluster::noteParts(Gaps& gaps, uint64_t newer, SteadyTime since) {
  auto leader = leaderOf(newer);
  if (!leader) return;
  std::string line = logs_[*leader].said("takeover times", newer);
  auto at = [&](const char* name) {
    return static_cast<double>(LogWatch::field(line, name).value_or(0)) / 1e3;
  };
  if (at("serving_us") == 0) return;
  double begin = static_cast<double>(since.nanos) / 1e6;
  double guessed = at("guessed_us");
  // Nobody detects anything where a leader hands over, or its session ends.
  if (guessed > 0) gaps.detected.push_back(guessed - begin);
  gaps.elected.push_back(at("elected_us") - (guessed > 0 ? guessed : begin));
  gaps.caughtUp.push_back(at("caught_up_us") - at("elected_us"));
  gaps.firstCommit.push_back(at("serving_us") - at("caught_up_us"));
  gaps.firstAnswer.push_back(static_cast<double>(writes_->epochSeen().nanos) / 1e6 -
                             at("serving_us"));
}

}  // namespace muster::bench
