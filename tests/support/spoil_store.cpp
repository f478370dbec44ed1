// muster-spoil-store FOLDER [TEXT]: changes one record of a stopped coordinator's store behind its
// back, as a bad disk or a fault in apply would: the first that holds TEXT. The store stays
// readable; only its content is wrong.
#include "coordinator/rocks_store.h"

#include <kj/debug.h>

#include <cstdio>
#include <string>

namespace {

using namespace muster;               // NOLINT(google-build-using-namespace): a main of its own
using namespace muster::coordinator;  // NOLINT(google-build-using-namespace): as above

constexpr const char* ADDRESS = "127.0.0.1";  // of a node

bool spoil(StoreBatch& content, const std::string& text) {
  for (RecordWrite& record : content.records) {
    size_t at = record.value->find(text);
    if (at == std::string::npos) continue;
    (*record.value)[at] = '9';
    return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  KJ_REQUIRE(argc == 2 || argc == 3, "usage: muster-spoil-store FOLDER [TEXT]");
  RocksStore store(argv[1], StoreAccess::READ_WRITE);
  auto meta = store.meta();
  KJ_REQUIRE(meta.has_value(), "the store is empty");
  StoreBatch content;
  content.position = meta->applied;
  store.loadRecords([&](std::string_view key, std::string_view value) {
    content.records.push_back({std::string(key), std::string(value)});
  });
  KJ_REQUIRE(spoil(content, argc == 3 ? argv[2] : ADDRESS), "no record to spoil");
  store.reset();
  store.write(content);
  std::printf("spoiled one of %zu records\n", content.records.size());
  return 0;
}
