#include "worker/order_store.h"

#include "tests/base/temporary_folder.h"
#include "tests/worker/orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>

namespace muster::worker::order_store_test {
namespace {

namespace fs = std::filesystem;

class OrderStoreTest : public testing::Test {
 protected:
  StoredOrders sample(uint64_t index) {
    return {tokenOf(6), orderOf(stampOf(5, index), {1, 1}, {0, 1})};
  }
  std::string path() const { return folder_ / "orders"; }
  kj::Own<OrderStore> open() const { return makeFileOrderStore(path()); }
  void write(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  // In place: a file that is emptied and written again is flushed to the disk when it is closed.
  void overwrite(size_t at, char byte) const {
    std::fstream(path(), std::ios::binary | std::ios::in | std::ios::out).seekp(at).put(byte);
  }

  TemporaryFolder folder_;
};

// Writes beyond this size fail, as on a full disk.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    signal_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int) = nullptr;
};

TEST_F(OrderStoreTest, isEmptyAtFirst) { EXPECT_EQ(*open()->load(), StoredOrders{}); }

TEST_F(OrderStoreTest, givesBackWhatWasSavedLast) {
  ASSERT_TRUE(open()->save(sample(40)).ok());
  ASSERT_TRUE(open()->save(sample(41)).ok());
  EXPECT_EQ(*open()->load(), sample(41));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1) << "nothing is left over";
}

TEST_F(OrderStoreTest, keepsSecretsFromOthers) {
  ASSERT_TRUE(open()->save(sample(40)).ok());
  struct stat facts {};
  ASSERT_EQ(stat(path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST_F(OrderStoreTest, equalOrdersGiveEqualBytes) {
  EXPECT_EQ(encodeStoredOrders(sample(40)), encodeStoredOrders(sample(40)));
}

// A crash in the middle of a save leaves the temporary file, never half an order.
TEST_F(OrderStoreTest, aHalfWrittenTemporaryFileDoesNotMatter) {
  ASSERT_TRUE(open()->save(sample(40)).ok());
  std::ofstream(path() + ".Ab12Cd") << "half";
  EXPECT_EQ(*open()->load(), sample(40));
  ASSERT_TRUE(open()->save(sample(41)).ok());
  EXPECT_EQ(*open()->load(), sample(41));
}

TEST_F(OrderStoreTest, aFullDiskKeepsTheOldOrder) {
  ASSERT_TRUE(open()->save(sample(40)).ok());
  {
    SmallFiles limit(64);
    auto saved = open()->save(sample(41));
    ASSERT_FALSE(saved.ok());
    EXPECT_EQ(saved.refusal().code, RefusalCode::DISK_FULL);
  }
  EXPECT_EQ(*open()->load(), sample(40));
}

TEST_F(OrderStoreTest, refusesDamageAndSaysWhatToDo) {
  std::string good = encodeStoredOrders(sample(40));
  std::string cut = good.substr(0, good.size() / 2);
  for (const std::string& bad : {std::string(), cut, std::string("not an order at all")}) {
    SCOPED_TRACE(bad.size());
    write(bad);
    auto loaded = open()->load();
    ASSERT_FALSE(loaded.ok());
    EXPECT_THAT(loaded.refusal().text, testing::HasSubstr(path()));
    ASSERT_FALSE(loaded.refusal().fixes.empty());
    EXPECT_THAT(loaded.refusal().fixes[0], testing::HasSubstr("mv " + path()));
  }
}

// No flipped bit is read as another order: it is refused, or lies where nothing is read.
TEST_F(OrderStoreTest, noFlippedBitBecomesAnotherOrder) {
  StoredOrders wanted = sample(40);
  std::string good = encodeStoredOrders(wanted);
  size_t refused = 0;
  write(good);
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    overwrite(bit / 8, static_cast<char>(good[bit / 8] ^ (1 << (bit % 8))));
    auto loaded = open()->load();
    if (!loaded) {
      refused++;
    } else {
      ASSERT_EQ(*loaded, wanted) << "bit " << bit;
    }
    overwrite(bit / 8, good[bit / 8]);
  }
  EXPECT_GT(refused, good.size() * 7) << "almost every bit is guarded";
}

TEST_F(OrderStoreTest, refusesAnotherFormatVersion) {
  std::string bytes = encodeStoredOrders(sample(40));
  bytes[8] = 2;  // the first data word of the root, after its pointer
  write(bytes);
  auto loaded = open()->load();
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.refusal().text, testing::HasSubstr("format version"));
}

}  // namespace
}  // namespace muster::worker::order_store_test
