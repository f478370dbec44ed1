// The door for workers over real mutual TLS: who gets in, what a second connection does to the
// first, what a broken one does at once.
#include "coordinator/worker_gate.h"

#include "base/event_loop.h"
#include "base/pki.h"
#include "base/tls_transport.h"
#include "coordinator/gate.h"
#include "coordinator/worker_calls.h"
#include "protocol/codec.h"
#include "protocol/report_change.h"
#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace muster::coordinator::worker_gate_test {
namespace {

const ClusterName CLUSTER{"test"};
const HistoryId HISTORY{1, {5, 6}};

struct FakeAuthority final : WorkerAuthority {
  ClusterName clusterName = CLUSTER;
  CoordinatorId self{"co1"};
  FencingToken known{HISTORY, {3}};
  bool isLeading = true;
  std::vector<FencingToken> seen;
  const ClusterName& cluster() const override { return clusterName; }
  const CoordinatorId& id() const override { return self; }
  FencingToken token() const override { return known; }
  bool leading() const override { return isLeading; }
  void sawToken(const FencingToken& token, const NodeName&) override { seen.push_back(token); }
  Duration extendLease(const NodeName&) override { return isLeading ? 5_s : 0_s; }
  kj::Promise<Result<WeightSources>> weightSources(NodeName node, RankRef) override {
    if (!isLeading) return Result<WeightSources>(Refusal{RefusalCode::NOT_LEADER, "not here"});
    WeightSources sources;
    sources.peers = {{{"w2"}, "127.0.0.1:7411"}};
    sources.checksums = {{"asked by", node.value}};
    return Result<WeightSources>(sources);
  }
};

struct FakeAgent final : schema::Agent::Server {
  std::set<std::string> models;
  std::vector<std::string> asked;
  explicit FakeAgent(std::set<std::string> models) : models(std::move(models)) {}
  virtual ~FakeAgent() noexcept(false) = default;
  kj::Promise<void> inspectModel(InspectModelContext context) override {
    std::string source = context.getParams().getSource();
    auto answer = context.getResults().initAnswer();
    if (models.contains(source)) {
      ModelManifest manifest;
      manifest.source = source;
      manifest.digest = "d";
      encode(manifest, answer.initManifest());
    } else {
      Refusal refusal{RefusalCode::MODEL_NOT_FOUND, "no model " + source};
      encode(refusal, answer.initRefusal());
    }
    return kj::READY_NOW;
  }
};

WorkerHello helloOf(const std::string& node) {
  WorkerHello hello;
  hello.cluster = CLUSTER.value;
  hello.node.name = {node};
  hello.node.address = "127.0.0.1";
  hello.node.devices = {{{0}, "cpu", node + "-0", 4_GiB, 0}};
  hello.incarnation = {1, 2};
  return hello;
}

class Ears final : public AttachmentListener {
 public:
  void attached(const NodeName& node) override { heard("attached " + node.value); }
  void reported(const NodeName& node, ReportNews news) override {
    heard((news == ReportNews::NONE ? "confirmed " : "reported ") + node.value);
  }
  void broken(const NodeName& node) override { heard("broken " + node.value); }
  // Resolves when `what` has been heard.
  kj::Promise<void> hears(std::string what) {
    if (all.contains(what)) return kj::READY_NOW;
    auto waiter = kj::newPromiseAndFulfiller<void>();
    waiting[what] = kj::mv(waiter.fulfiller);
    return kj::mv(waiter.promise);
  }
  std::set<std::string> all;

 private:
  void heard(const std::string& what) {
    all.insert(what);
    auto found = waiting.find(what);
    if (found != waiting.end()) found->second->fulfill();
  }
  std::map<std::string, kj::Own<kj::PromiseFulfiller<void>>> waiting;
};

// A client of the gate with a certificate of its own.
struct Caller {
  kj::Own<Transport> transport;
  kj::Own<RpcConnection> connection;
  schema::Gate::Client gate{nullptr};
};

class WorkerGateTest : public testing::Test {
 public:
  ~WorkerGateTest() noexcept override = default;

 protected:
  WorkerGateTest() {
    createCa(folder.path(), CLUSTER);
    registry.subscribe(ears);
    transport = tls({Role::COORDINATOR, "co1"});
    listener = within(transport->listen("127.0.0.1:0", server.acceptor()));
  }

  template <class T>
  T within(kj::Promise<T> promise) {
    return loop.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop.waitScope());
  }
  kj::Own<Transport> tls(PeerIdentity identity) {
    CertificateRequest request;
    request.identity = identity;
    request.cluster = CLUSTER;
    return makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                            issueCertificate(folder.path(), request, folder.path()));
  }
  Caller call(PeerIdentity identity) {
    Caller caller;
    caller.transport = tls(identity);
    caller.connection =
        within(connectRpc(*caller.transport, loop.timer(), listener->address(), Role::COORDINATOR));
    caller.gate = caller.connection->bootstrap<schema::Gate>();
    return caller;
  }
  using Answer = capnp::Response<schema::WorkerGate::AttachResults>;
  Answer attach(Caller& caller, const WorkerHello& hello, schema::Agent::Client agent) {
    auto request = caller.gate.workerRequest().send().getGate().attachRequest();
    encode(hello, request.initHello());
    request.setAgent(kj::mv(agent));
    return within(request.send().then([](Answer&& answer) { return kj::mv(answer); }));
  }
  Answer attach(Caller& caller, const WorkerHello& hello) {
    return attach(caller, hello, kj::heap<FakeAgent>(std::set<std::string>{}));
  }
  RefusalCode refusalOf(const Answer& answer) {
    return answer.getAnswer().isRefusal() ? decode(answer.getAnswer().getRefusal()).code
                                          : RefusalCode{};
  }
  template <class Report = NodeReport>
  HeartbeatAnswer heartbeat(schema::WorkerSession::Client session, const Report& report = {}) {
    auto request = session.heartbeatRequest();
    encode(report, request.initReport());
    auto response = within(request.send().then([](auto&& response) { return kj::mv(response); }));
    auto answer = response.getAnswer();
    return {.token = decode(answer.getToken()),
            .leading = answer.getLeading(),
            .leaseRemaining = 1_ms * answer.getLeaseRemainingMs(),
            .kept = answer.getKept(),
            .next = 1_ms * answer.getNextMs()};
  }

  TemporaryFolder folder;
  EventLoop loop;
  SystemClock clock;
  Logger logger{LogOptions{.output = [](std::string_view) {}}};
  FakeAuthority authority;
  WorkerRegistry registry{clock};
  Ears ears;
  RpcServer server{
      loop.timer(), [this](const RpcPeer& peer) -> capnp::Capability::Client {
        WorkerGateParts worker{authority, registry,
                               [this](RpcConnectionId id) { server.close(id); }, logger};
        return makeGate(peer, {[](schema::ServerInfo::Builder info) { info.setCluster("test"); },
                               nullptr, worker});
      }};
  kj::Own<Transport> transport;
  kj::Own<Listener> listener;
};

TEST_F(WorkerGateTest, attachesAWorkerAndExtendsItsLease) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto answer = attach(worker, helloOf("gpu01"));
  ASSERT_TRUE(answer.getAnswer().isAccepted());
  auto accepted = answer.getAnswer().getAccepted();
  EXPECT_EQ(decode(accepted.getToken()), authority.known);
  EXPECT_TRUE(accepted.getLeading());
  EXPECT_STREQ(accepted.getCoordinator().cStr(), "co1");
  ASSERT_NE(registry.find({"gpu01"}), nullptr);

  NodeReport report;
  report.ranks = {RankReport{.ref = {{1}, {0}, {1}, {0}}, .phase = ReplicaPhase::LOADING}};
  auto beat = heartbeat(answer.getSession(), report);
  EXPECT_EQ(beat.leaseRemaining, 5_s);
  EXPECT_TRUE(beat.leading);
  EXPECT_EQ(registry.find({"gpu01"})->ranks, report.ranks);
}

TEST_F(WorkerGateTest, aHeartbeatSaysWhichDevicesAreUnhealthy) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto answer = attach(worker, helloOf("gpu01"));
  NodeReport report;
  report.unhealthy = {{{0}, "XID 79"}};
  heartbeat(answer.getSession(), report);
  EXPECT_EQ(unhealthyOf(registry.find({"gpu01"})->hello.node), report.unhealthy);
  heartbeat(answer.getSession(), {});
  EXPECT_TRUE(unhealthyOf(registry.find({"gpu01"})->hello.node).empty());
}

TEST_F(WorkerGateTest, takesWhatHasChangedAgainstTheReportItKeeps) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto answer = attach(worker, helloOf("gpu01"));
  auto session = answer.getSession();
  RankReport first{.ref = {{1}, {0}, {1}, {0}}, .phase = ReplicaPhase::LOADING};
  RankReport second{.ref = {{1}, {0}, {1}, {1}}, .phase = ReplicaPhase::LOADING};
  OrderStamp obeyed{{HISTORY, {3}}, {9}};
  NodeReport whole{5, {first, second}, obeyed, {{{0}, "XID 79"}}};
  EXPECT_EQ(heartbeat(session, whole).kept, 5u);

  second.phase = ReplicaPhase::READY;
  ReportChange change{.sequence = 6, .base = 5, .ranks = {second}, .gone = {first.ref}};
  EXPECT_EQ(heartbeat(session, change).kept, 6u);
  const Attachment* known = registry.find({"gpu01"});
  EXPECT_EQ(known->ranks, (std::vector<RankReport>{second}));
  EXPECT_EQ(known->obeyed, obeyed);
  EXPECT_EQ(unhealthyOf(known->hello.node), whole.unhealthy);

  EXPECT_FALSE(ears.all.contains("confirmed gpu01"));
  auto beat = heartbeat(session, ReportChange{.sequence = 7, .base = 6});
  EXPECT_EQ(beat.kept, 7u);
  EXPECT_EQ(beat.leaseRemaining, 5_s);
  EXPECT_TRUE(ears.all.contains("confirmed gpu01"));
  EXPECT_EQ(registry.find({"gpu01"})->ranks, (std::vector<RankReport>{second}));
}

TEST_F(WorkerGateTest, asksForTheWholeReportWhenItDoesNotKeepTheBase) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto answer = attach(worker, helloOf("gpu01"));
  auto session = answer.getSession();
  RankReport rank{.ref = {{1}, {0}, {1}, {0}}, .phase = ReplicaPhase::READY};
  auto beat = heartbeat(session, ReportChange{.sequence = 6, .base = 5, .ranks = {rank}});
  EXPECT_EQ(beat.kept, 0u);
  EXPECT_EQ(beat.leaseRemaining, 5_s) << "it is alive, whatever it says";
  EXPECT_TRUE(registry.find({"gpu01"})->ranks.empty()) << "half a truth is not taken";
  EXPECT_EQ(heartbeat(session, NodeReport{.sequence = 7, .ranks = {rank}}).kept, 7u);
  EXPECT_EQ(registry.find({"gpu01"})->ranks, (std::vector<RankReport>{rank}));
}

TEST_F(WorkerGateTest, aReportThatChangesNothingOfAnotherConnectionIsNotTaken) {
  Caller first = call({Role::WORKER, "gpu01"});
  auto session = attach(first, helloOf("gpu01")).getSession();
  ASSERT_EQ(heartbeat(session, NodeReport{.sequence = 5}).kept, 5u);
  Caller second = call({Role::WORKER, "gpu01"});
  auto now = attach(second, helloOf("gpu01")).getSession();
  EXPECT_EQ(heartbeat(now, ReportChange{.sequence = 6, .base = 5}).kept, 0u);
}

TEST_F(WorkerGateTest, aStandbyWantsToHearLessOften) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto session = attach(worker, helloOf("gpu01")).getSession();
  EXPECT_EQ(heartbeat(session).next, HEARTBEAT);
  authority.isLeading = false;
  EXPECT_EQ(heartbeat(session).next, HEARTBEAT_TO_STANDBY);
}

TEST_F(WorkerGateTest, tellsAWorkerWhereItsRanksMayLoadFrom) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto answer = attach(worker, helloOf("gpu01"));
  auto ask = [&] {
    auto session = answer.getSession();
    auto request = session.weightSourcesRequest();
    encode(RankRef{{1}, {0}, {1}, {0}}, request.initRank());
    return within(request.send().then([](auto&& response) { return kj::mv(response); }));
  };
  WeightSources told = decode(ask().getSources());
  EXPECT_EQ(told.peers, (std::vector<WeightPeer>{{{"w2"}, "127.0.0.1:7411"}}));
  EXPECT_EQ(told.checksums.at("asked by"), "gpu01") << "as the certificate says, not the caller";
  authority.isLeading = false;
  EXPECT_EQ(decode(ask().getRefusal()).code, RefusalCode::NOT_LEADER);
}

TEST_F(WorkerGateTest, aStandbyKeepsTheCapabilityAndGivesNoLease) {
  authority.isLeading = false;
  Caller worker = call({Role::WORKER, "gpu01"});
  auto answer = attach(worker, helloOf("gpu01"));
  ASSERT_TRUE(answer.getAnswer().isAccepted());
  EXPECT_EQ(heartbeat(answer.getSession()).leaseRemaining, 0_s);
  EXPECT_NE(registry.find({"gpu01"}), nullptr);
}

TEST_F(WorkerGateTest, aWorkerSpeaksForItsOwnNodeOnly) {
  Caller worker = call({Role::WORKER, "gpu01"});
  EXPECT_EQ(refusalOf(attach(worker, helloOf("gpu02"))), RefusalCode::NOT_ALLOWED);
  EXPECT_TRUE(registry.all().empty());
}

TEST_F(WorkerGateTest, refusesAnotherClusterAndAMixedUpHistory) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto stranger = helloOf("gpu01");
  stranger.cluster = "other";
  EXPECT_EQ(refusalOf(attach(worker, stranger)), RefusalCode::HISTORY_MISMATCH);
  auto mixed = helloOf("gpu01");
  mixed.token = {{HISTORY.number, {9, 9}}, {1}};
  EXPECT_EQ(refusalOf(attach(worker, mixed)), RefusalCode::HISTORY_MISMATCH);
  EXPECT_TRUE(registry.all().empty());
}

TEST_F(WorkerGateTest, tellsOfATokenAboveItsOwn) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto hello = helloOf("gpu01");
  hello.token = {HISTORY, {2}};
  attach(worker, hello);
  EXPECT_TRUE(authority.seen.empty());
  hello.token = {HISTORY, {4}};
  auto answer = attach(worker, hello);
  EXPECT_EQ(authority.seen, (std::vector<FencingToken>{{HISTORY, {4}}}));
  NodeReport report;
  report.obeyed = {{HISTORY, {5}}, {1}};
  heartbeat(answer.getSession(), report);
  EXPECT_EQ(authority.seen.back(), (FencingToken{HISTORY, {5}}));
}

TEST_F(WorkerGateTest, aNewerConnectionClosesTheOlderOneBeforeItIsAnswered) {
  Caller first = call({Role::WORKER, "gpu01"});
  auto old = attach(first, helloOf("gpu01"));
  Caller second = call({Role::WORKER, "gpu01"});
  auto hello = helloOf("gpu01");
  hello.incarnation = {3, 4};
  auto now = attach(second, hello);
  EXPECT_EQ(server.connectionCount(), 1u);
  EXPECT_ANY_THROW(heartbeat(old.getSession()));
  EXPECT_EQ(heartbeat(now.getSession()).leaseRemaining, 5_s);
  EXPECT_EQ(registry.find({"gpu01"})->hello.incarnation, hello.incarnation);
  EXPECT_FALSE(ears.all.contains("broken gpu01"));  // the older one's end is not the node's
}

TEST_F(WorkerGateTest, aSecondHelloOnOneConnectionReplacesTheFirst) {
  Caller worker = call({Role::WORKER, "gpu01"});
  auto first = attach(worker, helloOf("gpu01"));
  auto second = attach(worker, helloOf("gpu01"));
  EXPECT_ANY_THROW(heartbeat(first.getSession()));
  EXPECT_EQ(heartbeat(second.getSession()).leaseRemaining, 5_s);
}

TEST_F(WorkerGateTest, aBrokenConnectionIsNoticedAtOnce) {
  Caller worker = call({Role::WORKER, "gpu01"});
  {
    auto answer = attach(worker, helloOf("gpu01"));
    ASSERT_TRUE(answer.getAnswer().isAccepted());
    worker.gate = nullptr;
  }
  worker.connection = nullptr;
  within(ears.hears("broken gpu01"));
  EXPECT_EQ(registry.find({"gpu01"}), nullptr);
}

TEST_F(WorkerGateTest, roleDecidesWhichDoorOpens) {
  for (Role role : {Role::VIEWER, Role::OPERATOR, Role::ADMIN, Role::COORDINATOR, Role::GATEWAY}) {
    SCOPED_TRACE(std::string(toText(role)));
    Caller caller = call({role, "someone"});
    EXPECT_ANY_THROW(within(caller.gate.workerRequest().send().ignoreResult()));
    within(caller.gate.helloRequest().send().ignoreResult());
  }
  Caller worker = call({Role::WORKER, "gpu01"});
  KJ_IF_MAYBE (why, kj::runCatchingExceptions(
                        [&] { within(worker.gate.apiRequest().send().ignoreResult()); })) {
    EXPECT_NE(std::string(why->getDescription().cStr()).find("E0202"), std::string::npos);
  } else {
    ADD_FAILURE() << "a worker got the clients' capability";
  }
}

TEST_F(WorkerGateTest, asksOtherWorkersWhenOneLacksTheModel) {
  Caller one = call({Role::WORKER, "gpu01"});
  Caller two = call({Role::WORKER, "gpu02"});
  WorkerCalls calls(loop.timer(), registry);
  EXPECT_EQ(within(calls.inspectModel("file:/m")).refusal().code, RefusalCode::NO_WORKER);
  auto a = attach(one, helloOf("gpu01"), kj::heap<FakeAgent>(std::set<std::string>{}));
  auto b = attach(two, helloOf("gpu02"), kj::heap<FakeAgent>(std::set<std::string>{"file:/m"}));
  auto found = within(calls.inspectModel("file:/m"));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->source, "file:/m");
  EXPECT_EQ(found->inspectedBy, NodeName{"gpu02"});
  EXPECT_EQ(within(calls.inspectModel("file:/none")).refusal().code, RefusalCode::MODEL_NOT_FOUND);
}

}  // namespace
}  // namespace muster::coordinator::worker_gate_test
