#include "bench/big_cluster.h"

#include "base/clock.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "base/rpc.h"
#include "coordinator/core/record.h"
#include "coordinator/core/record_key.h"
#include "coordinator/rocks_store.h"
#include "failover/bootstrap.h"
#include "failover/log_reader.h"
#include "failover/zookeeper.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <filesystem>

namespace muster::bench {
namespace {

const ClusterName CLUSTER{"bench"};
constexpr auto PATIENCE = 90 * kj::SECONDS;
constexpr Instant CLUSTER_TIME{3'600'000'000'000};
constexpr size_t WRITTEN_AT_ONCE = 1000;

coordinator::State stateOf(const HistoryId& history, size_t records) {
  coordinator::State state = coordinator::emptyState(history);
  state.applied = {1};
  state.clusterTime = CLUSTER_TIME;
  coordinator::NodeState node;
  node.info.name = {BigCluster::NODE};
  node.info.address = "127.0.0.1";
  node.info.devices = {{{0}, "cpu", "gpu01-0", 4_GiB, 0}};
  node.info.version = "bench";
  state.nodes[node.info.name] = node;
  SeededRandom random(1);
  while (state.outcomes.size() + 2 < records) {
    coordinator::Outcome outcome;
    outcome.index = {1};
    outcome.answer = R"({"deployment":"default/chat-)" + std::to_string(state.outcomes.size()) +
                     R"(","uid":3,"revision":2})";
    Instant time{CLUSTER_TIME.nanos + static_cast<int64_t>(state.outcomes.size())};
    state.outcomes.emplace(coordinator::OutcomeKey{time, random.guid()}, std::move(outcome));
  }
  return state;
}

LogPosition firstBatch(failover::CoordinationSession& session, const failover::Paths& paths,
                       const HistoryId& history, EventLoop& loop) {
  Command command;
  command.body = LeaderStarted{{"co1"}, {0}, "bench", {}};
  Batch batch;
  batch.history = history;
  batch.number = {1};
  batch.firstIndex = {1};
  batch.leaderTime = CLUSTER_TIME;
  batch.commands = {encodeCommand(command)};
  ByteString bytes = encodeBatch(batch);
  auto made = session.multi({failover::createOp(paths.batch({1}), bytes)}).wait(loop.waitScope());
  KJ_REQUIRE(made.code == failover::ZkCode::OK, "the first batch was not written");
  return failover::positionAfter(batch, bytes);
}

void fillStore(const std::string& folder, const std::vector<coordinator::StoredRecord>& records,
               const coordinator::StoreMeta& meta) {
  std::filesystem::create_directories(folder);
  coordinator::RocksStore store(folder, coordinator::StoreAccess::READ_WRITE);
  auto replacement = store.replaceAll();
  for (size_t from = 0; from < records.size(); from += WRITTEN_AT_ONCE) {
    auto first = records.begin() + static_cast<ptrdiff_t>(from);
    auto last =
        records.begin() + static_cast<ptrdiff_t>(std::min(records.size(), from + WRITTEN_AT_ONCE));
    replacement->addRecords({first, last});
  }
  replacement->finish(meta);
}

}  // namespace

BigCluster::BigCluster(size_t zookeeperServers, size_t records)
    : zookeeper(zookeeperServers, support::likeProduction()),
      processes(CLUSTER, zookeeper.addresses(), 3) {
  transport = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                               processes.certificate({Role::OPERATOR, "bench"}));
  auto made = processes.run({"--config", processes.configPath(0), "--bootstrap"});
  KJ_REQUIRE(made.code == 0, made.output.c_str());
  fill(records);
}

void BigCluster::fill(size_t records) {
  failover::ZookeeperOptions options;
  options.servers = zookeeper.addresses();
  options.sessionTimeout = 4_s;
  options.digest = "muster:a secret of tests";
  auto session = failover::ZookeeperService(loop, options).open();
  failover::Paths paths(CLUSTER);
  auto view = failover::readEpoch(*session, paths).wait(loop.waitScope());
  HistoryId history = KJ_REQUIRE_NONNULL(view).history;
  coordinator::StoreMeta meta{CLUSTER, history, firstBatch(*session, paths, history, loop)};
  auto all = coordinator::allRecords(stateOf(history, records));
  KJ_REQUIRE(all.size() == records, all.size());
  for (size_t i = 0; i < processes.count(); i++) {
    fillStore(processes.dataDirectory(i) + "/store", all, meta);
  }
}

void BigCluster::startAll() {
  for (size_t i = 0; i < processes.count(); i++) processes.start(i);
  until("all follow", [&] {
    for (size_t i = 0; i < processes.count(); i++) {
      auto info = ask(i);
      if (!info || info->applied < 2) return false;
    }
    return true;
  });
}

std::optional<BigCluster::Info> BigCluster::ask(size_t member) {
  std::optional<Info> info;
  auto asked = connectRpc(*transport, loop.timer(), processes.address(member), Role::COORDINATOR)
                   .then([&](kj::Own<RpcConnection> connection) {
                     return connection->bootstrap<schema::Gate>()
                         .helloRequest()
                         .send()
                         .then([&](auto&& response) {
                           auto said = response.getInfo();
                           info = Info{said.getAppliedIndex(), said.getStage() == 3};
                         })
                         .attach(kj::mv(connection));
                   });
  withDeadline(loop.timer(), 2_s, "hello", kj::mv(asked))
      .catch_([](kj::Exception&&) {})
      .wait(loop.waitScope());
  return info;
}

size_t BigCluster::leader() {
  size_t leader = 0;
  until("one leads", [&] {
    for (size_t i = 0; i < processes.count(); i++) {
      auto info = ask(i);
      if (info && info->leads) return leader = i, true;
    }
    return false;
  });
  return leader;
}

void BigCluster::until(const char* what, std::function<bool()> isSo) {
  auto deadline = loop.timer().now() + PATIENCE;
  while (!isSo()) {
    KJ_REQUIRE(loop.timer().now() < deadline, "waited in vain", what, processes.log(0).c_str(),
               processes.log(1).c_str(), processes.log(2).c_str());
    loop.timer().afterDelay(5 * kj::MILLISECONDS).wait(loop.waitScope());
  }
}

}  // namespace muster::bench
