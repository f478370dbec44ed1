#include "coordinator/snapshot_restore.h"

#include "base/co.h"
#include "coordinator/snapshot_records.h"
#include "failover/snapshot_reader.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

using failover::SnapshotManifest;
using failover::SnapshotReader;

Co<SnapshotManifest> currentManifest(RestoreParts parts) {
  auto current = co_await failover::readCurrentSnapshot(parts.session, parts.paths);
  SnapshotManifest manifest;
  KJ_IF_MAYBE (found, current) {
    manifest = found->manifest;
  } else {
    KJ_FAIL_REQUIRE("E0901 the log's beginning is gone and there is no snapshot",
                    parts.paths.currentSnapshot().c_str());
  }
  StoreMeta meta{manifest.cluster, manifest.history, manifest.position};
  requireSameHistory(meta, parts.cluster, parts.history);
  co_return kj::mv(manifest);
}

// What stands in the place of the events that are not here.
Event historyBegins(const SnapshotManifest& manifest) {
  Event event;
  event.index = manifest.position.index;
  event.at = manifest.position.leaderTime;
  event.wall = manifest.written;
  event.type = "HistoryBegins";
  event.object = "cluster";
  event.message = "this coordinator was restored from a snapshot: it has history from index " +
                  std::to_string(manifest.position.index.value + 1);
  event.principal = "coordinator/" + manifest.writer.value;
  return event;
}

// False when a newer snapshot took its place meanwhile.
Co<bool> fill(RestoreParts parts, SnapshotManifest manifest) {
  SnapshotReader reader(parts.session, parts.paths, manifest);
  auto replacement = parts.store.replaceAll();
  RecordSum sum;
  for (;;) {
    SnapshotReader::Next next = co_await reader.next();
    if (next.found == SnapshotReader::Found::GONE) co_return false;
    if (next.found == SnapshotReader::Found::END) break;
    std::vector<StoredRecord> records = decodeRecords(next.payload);
    sum.add(records);
    replacement->addRecords(records);
  }
  KJ_REQUIRE(sum.hash() == manifest.stateHash && sum.count() == manifest.records,
             "SNAPSHOT_DAMAGED: the records are not those of the state it names",
             parts.paths.snapshotFolder(manifest.position.index).c_str());
  StoreMeta meta{parts.cluster, parts.history, manifest.position, manifest.position.index.next()};
  replacement->addEvents({historyBegins(manifest)});
  replacement->finish(meta);
  co_return true;
}

Co<SnapshotManifest> restoreCo(RestoreParts parts) {
  for (;;) {
    SnapshotManifest manifest = co_await currentManifest(parts);
    parts.logger.info("restoring from a snapshot", {{"index", manifest.position.index},
                                                    {"records", manifest.records},
                                                    {"bytes", manifest.bytes.count}});
    bool whole = co_await fill(parts, manifest);
    if (whole) co_return kj::mv(manifest);
  }
}

}  // namespace

kj::Promise<SnapshotManifest> restoreFromCurrent(RestoreParts parts) {
  return restoreCo(kj::mv(parts))
      .asPromise()
      .catch_([](kj::Exception&& exception) -> SnapshotManifest {
        if (std::string(exception.getDescription().cStr()).find("SNAPSHOT_DAMAGED") ==
            std::string::npos) {
          kj::throwFatalException(kj::mv(exception));
        }
        KJ_FAIL_REQUIRE(kj::str(
            "E0901 the snapshot that this coordinator needs is damaged; another coordinator that "
            "has the state goes on, and the next snapshot replaces it: ",
            exception.getDescription()));
      });
}

}  // namespace muster::coordinator
