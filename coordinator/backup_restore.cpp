#include "coordinator/backup_restore.h"

#include "base/co.h"
#include "coordinator/snapshot_records.h"
#include "failover/bootstrap.h"
#include "failover/records.h"
#include "failover/session_wait.h"
#include "failover/snapshot_writer.h"
#include "protocol/codec.h"
#include "protocol/schema_level.h"

#include <kj/debug.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

namespace muster::coordinator {
namespace {

using failover::createOp;
using failover::EpochView;
using failover::MultiResult;
using failover::Op;
using failover::Paths;
using failover::SnapshotManifest;
using failover::SnapshotWriter;
using failover::ZkCode;

constexpr Bytes RATE = 64_MiB;        // a second; nobody else uses the service now
constexpr size_t REMOVALS_MAX = 200;  // in one multi
constexpr auto AGAIN_AFTER = 50 * kj::MILLISECONDS;

uint64_t numberIn(const std::string& name) {
  uint64_t value = 0;
  std::from_chars(name.data(), name.data() + name.size(), value);
  return value;
}

class HistoryRestore {
 public:
  HistoryRestore(HistoryRestoreParts parts, BackupSource& source)
      : parts_(kj::mv(parts)),
        source_(source),
        paths_(parts_.cluster),
        wanted_(source.header().position.index) {}

  Co<Result<RestoredHistory>> run() {
    auto refusal = checkSource();
    if (refusal) co_return kj::mv(*refusal);
    co_await makeFolders();
    auto standing = co_await namesIn(paths_.candidates());
    if (!standing.empty()) co_return coordinatorsRun(standing.size());
    co_await look();
    co_await writeSnapshot();
    co_await switchOver();
    co_await removeOldLog();
    co_await removeOldSnapshots();
    RestoredHistory restored{metaAfter(), source_.end().stateHash};
    co_return Result<RestoredHistory>(kj::mv(restored));
  }

 private:
  std::optional<Refusal> checkSource() const {
    const BackupHeader& header = source_.header();
    if (header.cluster != parts_.cluster) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "the backup is of cluster " + header.cluster.value +
                         ", this configuration is of " + parts_.cluster.value};
    }
    if (header.position.batch.value == 0) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "the backup is of a cluster without a single command",
                     {},
                     {"muster-coordinator --bootstrap makes an empty cluster"}};
    }
    if (header.schemaLevel > schemaLevelUnderstood()) {
      return Refusal{RefusalCode::SCHEMA_TOO_NEW, "the backup is of schema level " +
                                                      std::to_string(header.schemaLevel) +
                                                      ", this version understands up to " +
                                                      std::to_string(schemaLevelUnderstood())};
    }
    return std::nullopt;
  }

  static Refusal coordinatorsRun(size_t count) {
    return {RefusalCode::ALREADY_RUNNING,
            std::to_string(count) + " coordinators of this cluster still run",
            {},
            {"systemctl stop muster-coordinator, on every coordinator's machine"}};
  }

  // Sent again until the service says what became of it.
  Co<MultiResult> settled(std::vector<Op> ops) {
    for (;;) {
      co_await failover::whenConnected(parts_.session);
      std::vector<Op> same = ops;
      MultiResult result = co_await parts_.session.multi(kj::mv(same));
      KJ_REQUIRE(result.code != ZkCode::NO_AUTH, "the digest for ZooKeeper is not this cluster's",
                 paths_.root.c_str());
      if (result.code == ZkCode::SESSION_ENDED) throwEnded();
      bool isUnknown = result.code == ZkCode::CONNECTION_LOSS || result.code == ZkCode::OTHER ||
                       result.code == ZkCode::NOT_REACHED;
      if (!isUnknown) co_return kj::mv(result);
      co_await parts_.timer.afterDelay(AGAIN_AFTER);
    }
  }

  [[noreturn]] static void throwEnded() {
    kj::throwFatalException(KJ_EXCEPTION(
        DISCONNECTED, "E0705 the ZooKeeper session ended; nothing is restored, run it again"));
    KJ_UNREACHABLE;
  }

  std::vector<std::string> folders() const {
    return {paths_.root, paths_.candidates(), paths_.log(), paths_.snapshot()};
  }

  // What an empty service lacks. The epoch is not among it: without one nobody leads.
  Co<void> makeFolders() {
    std::vector<std::string> wanted = folders();
    for (const std::string& path : wanted) {
      std::vector<Op> ops(1, createOp(path, ""));
      MultiResult made = co_await settled(kj::mv(ops));
      KJ_REQUIRE(made.code == ZkCode::OK || made.code == ZkCode::NODE_EXISTS,
                 "a folder cannot be made in ZooKeeper", path.c_str());
    }
  }

  Co<std::vector<std::string>> namesIn(std::string path) {
    for (;;) {
      co_await failover::whenConnected(parts_.session);
      auto listed = co_await parts_.session.list(path);
      if (listed.code == ZkCode::SESSION_ENDED) throwEnded();
      if (listed.code == ZkCode::OK) co_return kj::mv(listed.children);
      if (listed.code == ZkCode::NO_NODE) co_return std::vector<std::string>();
    }
  }

  // What is there, and from it the names of what will be.
  Co<void> look() {
    auto view = co_await failover::readEpoch(parts_.session, paths_);
    KJ_IF_MAYBE (found, view) {
      old_ = *found;
    }
    std::vector<std::string> batches = co_await namesIn(paths_.log());
    for (const std::string& name : batches) {
      logEnd_ = std::max(logEnd_, numberIn(name));
    }
    nameWhatWillBe();
  }

  void nameWhatWillBe() {
    const BackupHeader& header = source_.header();
    uint64_t oldNumber = old_ ? old_->history.number : 0;
    history_ = {std::max(oldNumber, header.history.number) + 1, parts_.random.guid()};
    epoch_ = std::max(header.position.epoch, old_ ? old_->epoch : Epoch{});
    anchorBytes_ = encodeBatch(anchor());
    position_ = {anchor_, wanted_, chainAfter(anchorBytes_), epoch_, header.position.leaderTime};
  }

  // A batch that nobody applies: the state that it ends with is in the snapshot.
  Batch anchor() {
    const LogPosition& from = source_.header().position;
    anchor_ = {std::max(logEnd_, from.batch.value) + 1};
    Batch batch;
    batch.history = history_;
    batch.epoch = epoch_;
    batch.number = anchor_;
    batch.firstIndex = wanted_;
    batch.leaderTime = from.leaderTime;
    batch.wallTime = parts_.now;
    batch.id = parts_.random.guid();
    batch.previousChain = from.chain;
    batch.commands = {"restored"};
    return batch;
  }

  SnapshotManifest manifest() const {
    SnapshotManifest manifest;
    manifest.cluster = parts_.cluster;
    manifest.history = history_;
    manifest.position = position_;
    manifest.stateHash = source_.end().stateHash;
    manifest.records = source_.end().counts.records;
    manifest.writer = parts_.self;
    manifest.written = parts_.now;
    return manifest;
  }

  Co<void> writeSnapshot() {
    SnapshotWriter writer(parts_.session, parts_.timer, paths_, wanted_,
                          "restore-" + toText(history_.guid), RATE);
    bool isOurs = co_await writer.begin();
    if (!isOurs) {
      // A finished one of that index, of another history: it goes, and with it the way back to it.
      std::vector<Op> ops(1, failover::removeOp(paths_.snapshotManifest(wanted_)));
      co_await settled(kj::mv(ops));
      isOurs = co_await writer.begin();
    }
    KJ_REQUIRE(isOurs, "somebody else writes a snapshot", wanted_.value);
    std::vector<ByteString> all = payloads();
    for (ByteString& payload : all) co_await writer.add(kj::mv(payload));
    RecordSum sum;
    std::function<void(const ByteString&)> visit = [&sum](const ByteString& payload) {
      sum.add(decodeRecords(payload));
    };
    SnapshotManifest whole = manifest();
    co_await writer.verify(whole, visit);
    KJ_REQUIRE(sum.hash() == source_.end().stateHash,
               "E0901 what was written is not the state of the backup");
    co_await writer.finish(whole);
  }

  // Whole records, each payload below what a znode takes.
  std::vector<ByteString> payloads() {
    std::vector<ByteString> payloads;
    std::vector<StoredRecord> pending;
    uint64_t bytes = 0;
    auto cut = [&] {
      if (!pending.empty()) payloads.push_back(encodeRecords(pending));
      pending.clear();
      bytes = 0;
    };
    source_.read([&](const BackupSource::Part& part) {
      for (const StoredRecord& record : part.records) {
        uint64_t more = record.key.size() + record.value.size() + 32;
        if (bytes + more > failover::SNAPSHOT_PAYLOAD_MAX.count) cut();
        bytes += more;
        pending.push_back(record);
      }
    });
    cut();
    return payloads;
  }

  // The one step that counts. Its first batch fails when somebody appended meanwhile, its epoch
  // when somebody took over.
  Co<void> switchOver() {
    auto written = co_await parts_.session.get(paths_.snapshotManifest(wanted_));
    KJ_REQUIRE(written.code == ZkCode::OK, "the snapshot that was written is gone");
    auto current = co_await parts_.session.get(paths_.currentSnapshot());
    std::vector<Op> ops = switchOps(written.data, current);
    MultiResult done = co_await settled(kj::mv(ops));
    if (done.code == ZkCode::OK) co_return;
    // Ours after all, when an answer was lost and it was sent twice.
    auto now = co_await failover::readEpoch(parts_.session, paths_);
    bool isOurs = false;
    KJ_IF_MAYBE (found, now) isOurs = found->history == history_;
    KJ_REQUIRE(isOurs,
               "E0703 somebody changed the cluster meanwhile; stop all coordinators and run "
               "it again");
  }

  std::vector<Op> switchOps(const std::string& manifest, const failover::GetResult& current) const {
    EpochView view;
    view.history = history_;
    view.epoch = epoch_;
    std::string bytes = encodeEpoch(view, parts_.cluster);
    std::vector<Op> ops;
    ops.push_back(old_ ? failover::setOp(paths_.epoch(), bytes, old_->version)
                       : createOp(paths_.epoch(), bytes));
    ops.push_back(createOp(paths_.batch(anchor_), anchorBytes_));
    ops.push_back(current.code == ZkCode::OK
                      ? failover::setOp(paths_.currentSnapshot(), manifest, current.stat.version)
                      : createOp(paths_.currentSnapshot(), manifest));
    return ops;
  }

  // Ascending, so that what is left has no holes.
  Co<void> removeOldLog() {
    std::vector<std::string> names = co_await namesIn(paths_.log());
    std::sort(names.begin(), names.end());
    std::vector<Op> ops;
    for (const std::string& name : names) {
      if (numberIn(name) >= anchor_.value) break;
      ops.push_back(failover::removeOp(paths_.log() + "/" + name));
      if (ops.size() < REMOVALS_MAX) continue;
      co_await settled(kj::mv(ops));
      ops.clear();
    }
    if (!ops.empty()) co_await settled(kj::mv(ops));
  }

  // One of an index that is still to come would stand in the way of the new history's own.
  Co<void> removeOldSnapshots() {
    std::string ours = Paths::padded(wanted_.value);
    std::vector<std::string> names = co_await namesIn(paths_.snapshot());
    for (const std::string& name : names) {
      if (name == "current" || name == ours) continue;
      co_await removeFolder(paths_.snapshot() + "/" + name);
    }
  }

  Co<void> removeFolder(std::string folder) {
    std::vector<std::string> names = co_await namesIn(folder);
    std::vector<Op> ops;
    for (const std::string& name : names) {
      ops.push_back(failover::removeOp(folder + "/" + name));
      if (ops.size() < REMOVALS_MAX) continue;
      co_await settled(kj::mv(ops));
      ops.clear();
    }
    ops.push_back(failover::removeOp(folder));
    co_await settled(kj::mv(ops));
  }

  StoreMeta metaAfter() const {
    return {parts_.cluster, history_, position_, source_.header().historyFrom};
  }

  HistoryRestoreParts parts_;
  BackupSource& source_;
  Paths paths_;
  LogIndex wanted_;
  std::optional<EpochView> old_;
  uint64_t logEnd_ = 0;  // number of the newest batch in the tree
  HistoryId history_;
  Epoch epoch_;
  BatchNumber anchor_;
  ByteString anchorBytes_;
  LogPosition position_;
};

}  // namespace

kj::Promise<Result<RestoredHistory>> restoreHistory(HistoryRestoreParts parts,
                                                    BackupSource& source) {
  auto restore = kj::heap<HistoryRestore>(kj::mv(parts), source);
  auto done = restore->run().asPromise();
  return done.attach(kj::mv(restore));
}

void fillStore(StateStore& store, BackupSource& source, const StoreMeta& meta) {
  auto replacement = store.replaceAll();
  source.read([&](const BackupSource::Part& part) {
    if (!part.records.empty()) replacement->addRecords(part.records);
    if (!part.events.empty()) replacement->addEvents(part.events);
    if (!part.audit.empty()) replacement->addAudit(part.audit);
  });
  replacement->finish(meta);
}

}  // namespace muster::coordinator
