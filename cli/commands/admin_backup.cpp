// admin backup: a file that is whole and proven, or none.
#include "base/co.h"
#include "base/files.h"
#include "base/kj_time.h"
#include "cli/commands/commands.h"
#include "cli/commands/session.h"
#include "cli/exit_code.h"
#include "protocol/backup_reader.h"

#include <kj/debug.h>

#include <filesystem>

namespace muster::cli {
namespace {

constexpr Duration READ_DEADLINE = 30_s;
constexpr int TRIES = 3;

std::string historyText(const HistoryId& history) {
  return std::to_string(history.number) + "-" + toText(history.guid);
}

// What a backup says of itself.
Json backupObject(const std::string& path, const BackupHeader& header, const BackupEnd& end,
                  uint64_t bytes) {
  return {{"version", 1},
          {"kind", "backup"},
          {"file", path},
          {"cluster", header.cluster.value},
          {"history", historyText(header.history)},
          {"index", header.position.index.value},
          {"state_hash", toText(end.stateHash)},
          {"records", end.counts.records},
          {"events", end.counts.events},
          {"audit_rows", end.counts.auditRows},
          {"events_from_index", header.historyFrom.value},
          {"bytes", bytes},
          {"coordinator", header.coordinator.value},
          {"coordinator_version", header.version},
          {"made_at", toRfc3339(header.madeAt)}};
}

std::string viewBackup(const Json& backup) {
  return textAt(backup, "/file") + ": cluster " + textAt(backup, "/cluster") + " as of index " +
         textAt(backup, "/index") + ", made " + textAt(backup, "/made_at") + "\n  " +
         textAt(backup, "/records") + " records, " + textAt(backup, "/events") + " events, " +
         textAt(backup, "/audit_rows") + " audit rows, state hash " +
         textAt(backup, "/state_hash") + "\n";
}

Result<int> show(Invocation& invocation, const std::string& path, const BackupReader& reader,
                 const BackupEnd& end) {
  return print(invocation, backupObject(path, *reader.header(), end, reader.bytesRead()),
               viewBackup);
}

Result<int> verify(Invocation& invocation, const std::string& path) {
  BackupReader reader;
  auto end = readBackupFile(path, reader);
  if (!end) return end.refusal();
  return show(invocation, path, reader, *end);
}

struct Piece {
  std::string bytes;
  bool isLast = false;
};

kj::Promise<Piece> readPiece(schema::Backup::Client& backup, kj::Timer& timer) {
  auto read = backup.readRequest().send().then([](auto&& response) {
    auto bytes = response.getBytes().asChars();
    return Piece{std::string(bytes.begin(), bytes.size()), response.getIsLast()};
  });
  return timer.timeoutAfter(toKj(READ_DEADLINE), kj::mv(read));
}

// Into `file`, each piece proven before it is written.
Co<Result<Done>> download(schema::Backup::Client backup, kj::Timer& timer, NewFile& file,
                          BackupReader& reader) {
  Result<Done> done = Done{};
  for (bool isLast = false; !isLast && done;) {
    Piece piece = co_await readPiece(backup, timer);
    isLast = piece.isLast;
    done = reader.feed(piece.bytes);
    if (done) done = file.append(piece.bytes);
  }
  co_return kj::mv(done);
}

// One try. A connection that breaks is an exception.
Result<int> backUpOnce(Invocation& invocation, Session& session, const std::string& path) {
  Asks asks = invocation.has("--stale") ? Asks::ANYONE : Asks::LEADER;
  kj::Maybe<schema::Backup::Client> opened;
  auto reply = session.ask(
      backupCall(asks, [&opened](schema::Backup::Client client) { opened = kj::mv(client); }));
  if (!reply) return reply.refusal();
  auto file = NewFile::begin(path, 0600);
  if (!file) return file.refusal();
  BackupReader reader;
  schema::Backup::Client& client = KJ_ASSERT_NONNULL(opened);
  auto done = session.finish(download(client, session.timer(), **file, reader).asPromise());
  if (!done) return done.refusal();
  auto end = reader.finish();
  if (!end) return end.refusal();
  auto named = (*file)->finish(invocation.has("--force") ? IfThere::REPLACE : IfThere::REFUSE);
  if (!named) return named.refusal();
  return show(invocation, path, reader, *end);
}

}  // namespace

Result<int> runAdminBackup(Invocation& invocation) {
  std::string path = invocation.arguments.word("FILE");
  if (invocation.has("--verify")) return verify(invocation, path);
  if (std::filesystem::exists(path) && !invocation.has("--force")) {
    return invocation.terminal.failUsage("there is a file " + path + " already",
                                         "muster admin backup " + path + " --force");
  }
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  for (int left = TRIES;; --left) {
    try {
      return backUpOnce(invocation, **session, path);
    } catch (const kj::Exception& exception) {
      bool mayPass = exception.getType() == kj::Exception::Type::DISCONNECTED ||
                     exception.getType() == kj::Exception::Type::OVERLOADED;
      if (!mayPass || left <= 1) throw;
    }
    invocation.terminal.detail("the backup broke off; asking again");
  }
}

}  // namespace muster::cli
