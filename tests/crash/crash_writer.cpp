// The program that is killed: writes through the product's own code and says on stdout what was
// acknowledged, one number a line.
//
//   crash_writer store FOLDER SEED COUNT    batches after the newest in the store
//   crash_writer backup FILE SEED COUNT     a backup of COUNT batches over the file
//   crash_writer orders FILE SEED COUNT     an agent's order file, COUNT times
// Exit 3: an error of the disk, with its text on stderr.
#include "base/files.h"
#include "coordinator/rocks_store.h"
#include "protocol/backup_writer.h"
#include "tests/crash/crash_model.h"
#include "worker/order_store.h"

#include <kj/exception.h>

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace {

using namespace muster;               // NOLINT(google-build-using-namespace): a main of its own
using namespace muster::coordinator;  // NOLINT(google-build-using-namespace): as above

constexpr size_t PIECE = 2048;
constexpr uint64_t REOPEN_EVERY = 12;  // opening flushes what the log held, another kind of writing

void acknowledge(uint64_t number) {
  std::printf("%llu\n", static_cast<unsigned long long>(number));
  std::fflush(stdout);
}

void require(const Result<Done>& done) { KJ_REQUIRE(done.ok(), done.refusal().text.c_str()); }

void writeStore(const std::string& folder, uint64_t seed, uint64_t count) {
  auto open = [&] { return kj::heap<RocksStore>(folder, StoreAccess::READ_WRITE); };
  kj::Own<RocksStore> store = open();
  store->claim(CRASH_CLUSTER, CRASH_HISTORY);
  uint64_t first = store->meta()->applied.batch.value + 1;
  for (uint64_t number = first; number < first + count; ++number) {
    store->write(crashBatch(seed, number));
    acknowledge(number);
    if (number % REOPEN_EVERY != 0) continue;
    store = nullptr;
    store = open();
  }
}

void writeBackup(const std::string& path, uint64_t seed, uint64_t count) {
  CrashModel model(seed);
  model.hashAfter(count);
  auto begun = NewFile::begin(path, 0600);
  KJ_REQUIRE(begun.ok(), begun.refusal().text.c_str());
  auto file = kj::mv(*begun);
  BackupHeader header;
  header.cluster = CRASH_CLUSTER;
  header.history = CRASH_HISTORY;
  header.position = crashPosition(count);
  BackupWriter writer(header);
  for (const auto& [key, value] : model.records()) writer.add(BackupPart::RECORDS, key, value);
  writer.finish();
  // Smaller writes than in earnest: more points to be killed at.
  std::string bytes = writer.take();
  for (size_t at = 0; at < bytes.size(); at += PIECE) {
    require(file->append(std::string_view(bytes).substr(at, PIECE)));
  }
  require(file->finish(IfThere::REPLACE));
  acknowledge(count);
}

void writeOrders(const std::string& path, uint64_t count) {
  auto store = worker::makeFileOrderStore(path);
  auto loaded = store->load();
  KJ_REQUIRE(loaded.ok(), loaded.refusal().text.c_str());
  worker::StoredOrders orders = *loaded;
  for (uint64_t i = 0; i < count; ++i) {
    orders.token.history = CRASH_HISTORY;
    orders.token.epoch = orders.token.epoch.next();
    require(store->save(orders));
    acknowledge(orders.token.epoch.value);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  std::string what = argv[1];
  uint64_t seed = std::strtoull(argv[3], nullptr, 10);
  uint64_t count = std::strtoull(argv[4], nullptr, 10);
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
                 if (what == "store") writeStore(argv[2], seed, count);
                 if (what == "backup") writeBackup(argv[2], seed, count);
                 if (what == "orders") writeOrders(argv[2], count);
               })) {
    std::fprintf(stderr, "%s\n", exception->getDescription().cStr());
    return 3;
  }
  return 0;
}
