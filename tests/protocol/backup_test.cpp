// A backup is read back as it was written, or refused: whatever byte is changed, wherever it is
// cut.
#include "base/random.h"
#include "protocol/backup_reader.h"
#include "protocol/backup_writer.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <tuple>

namespace muster::backup_test {
namespace {

using Entry = std::tuple<BackupPart, std::string, std::string>;

BackupHeader header() {
  BackupHeader header;
  header.cluster = {"prod"};
  header.history = {2, {0x1122, 0x3344}};
  header.position = {{17}, {40}, {5, 6}, {3}, {1'000'000}};
  header.schemaLevel = 1;
  header.coordinator = {"co1"};
  header.version = "0.1.0";
  header.madeAt = {1'700'000'000'000};
  return header;
}

std::vector<Entry> entries() {
  return {{BackupPart::RECORDS, "meta", std::string("\0\1", 2)},
          {BackupPart::RECORDS, "node/gpu01", "value"},
          {BackupPart::EVENTS, "e1", "Ready"},
          {BackupPart::AUDIT, "a1", ""},
          {BackupPart::AUDIT, "a2", "accepted"}};
}

std::string fileOf(const std::vector<Entry>& entries) {
  BackupWriter writer(header());
  for (const auto& [part, key, value] : entries) writer.add(part, key, value);
  writer.finish();
  return writer.take();
}

struct ReadBack {
  std::vector<Entry> entries;
  std::optional<BackupHeader> header;
  std::optional<BackupEnd> end;
  std::optional<Refusal> refusal;
};

ReadBack readBack(std::string_view bytes, size_t pieceMax = SIZE_MAX) {
  ReadBack back;
  BackupReader reader([&](BackupPart part, std::string_view key, std::string_view value) {
    back.entries.emplace_back(part, std::string(key), std::string(value));
  });
  Result<Done> fed = Done{};
  while (!bytes.empty() && fed) {
    fed = reader.feed(bytes.substr(0, pieceMax));
    bytes.remove_prefix(std::min(pieceMax, bytes.size()));
  }
  auto end = reader.finish();
  if (end) back.end = *end;
  if (!end) back.refusal = end.refusal();
  back.header = reader.header();
  return back;
}

TEST(Backup, isReadAsItWasWritten) {
  for (size_t piece : {size_t{1}, size_t{7}, SIZE_MAX}) {
    auto back = readBack(fileOf(entries()), piece);
    ASSERT_FALSE(back.refusal) << back.refusal->text;
    EXPECT_EQ(back.entries, entries());
    EXPECT_EQ(back.header, header());
    EXPECT_EQ(back.end->counts, (BackupCounts{2, 1, 2}));
  }
}

TEST(Backup, mayBeEmptyAndMayBeLarge) {
  EXPECT_FALSE(readBack(fileOf({})).refusal);
  std::vector<Entry> many;
  for (int i = 1000; i < 4000; ++i) {
    many.emplace_back(BackupPart::RECORDS, std::to_string(i), std::string(500, 'x'));
  }
  auto back = readBack(fileOf(many), 100'000);
  ASSERT_FALSE(back.refusal) << back.refusal->text;
  EXPECT_EQ(back.entries, many);
}

TEST(Backup, isRefusedWithAnyBitFlipped) {
  const std::string whole = fileOf(entries());
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      ASSERT_TRUE(readBack(flipped).refusal) << "byte " << at << ", bit " << bit;
    }
  }
}

TEST(Backup, isRefusedWhenItIsCutShortOrGoesOn) {
  const std::string whole = fileOf(entries());
  for (size_t size = 0; size < whole.size(); ++size) {
    auto back = readBack(std::string_view(whole).substr(0, size));
    ASSERT_TRUE(back.refusal) << size;
    EXPECT_EQ(back.refusal->code, RefusalCode::INVALID_VALUE);
  }
  EXPECT_TRUE(readBack(whole + "x").refusal);
  EXPECT_TRUE(readBack(whole + whole).refusal);
}

// Frames that are each whole, put together wrongly.
TEST(Backup, isRefusedWhenFramesAreLeftOutOrExchanged) {
  SeededRandom random(1);
  std::vector<Entry> many;
  for (int i = 1000; i < 3000; ++i) {
    std::string value(500, static_cast<char>('a' + random.below(26)));
    many.emplace_back(BackupPart::RECORDS, std::to_string(i), value);
  }
  const std::string whole = fileOf(many);
  std::vector<std::string> frames;
  for (size_t at = backup::PREFIX_BYTES; at < whole.size();) {
    size_t length = backup::FRAME_HEAD_BYTES + backup::readNumber(whole.substr(at + 4), 4);
    frames.push_back(whole.substr(at, length));
    at += length;
  }
  ASSERT_GE(frames.size(), 5u);
  auto joined = [&](const std::vector<size_t>& order) {
    std::string file = whole.substr(0, backup::PREFIX_BYTES);
    for (size_t index : order) file += frames[index];
    return file;
  };
  size_t last = frames.size() - 1;
  ASSERT_FALSE(readBack(whole).refusal);
  EXPECT_TRUE(readBack(joined({0, 1, last})).refusal);
  EXPECT_TRUE(readBack(joined({0, 2, 1, last})).refusal);
  EXPECT_TRUE(readBack(joined({0, last})).refusal);
  EXPECT_TRUE(readBack(joined({1, 0, last})).refusal);
}

TEST(Backup, isRefusedInANewerFormat) {
  std::string newer = fileOf(entries());
  newer[backup::MAGIC.size()] = 2;
  auto back = readBack(newer);
  ASSERT_TRUE(back.refusal);
  EXPECT_EQ(back.refusal->code, RefusalCode::NOT_SUPPORTED_YET);
  EXPECT_NE(back.refusal->text.find("format 2"), std::string::npos);
}

TEST(Backup, isRefusedWhenItIsSomethingElse) {
  EXPECT_EQ(readBack("# a deployment\nversion: 1\n").refusal->text, "this is no backup of Muster");
  EXPECT_TRUE(readBack("").refusal);
  TemporaryFolder folder;
  BackupReader reader;
  EXPECT_EQ(readBackupFile(folder / "none", reader).refusal().code, RefusalCode::NOT_FOUND);
  BackupReader another;
  EXPECT_EQ(readBackupFile(folder.path(), another).refusal().code, RefusalCode::INVALID_VALUE);
}

TEST(Backup, keepsItsFormat) {
  static constexpr char DIGITS[] = "0123456789abcdef";
  std::string hex;
  size_t column = 0;
  for (unsigned char byte : fileOf(entries())) {
    hex += DIGITS[byte >> 4];
    hex += DIGITS[byte & 15];
    if (++column % 32 == 0) hex += '\n';
  }
  testing::expectGolden("golden/protocol/backup.hex", hex + "\n");
}

}  // namespace
}  // namespace muster::backup_test
