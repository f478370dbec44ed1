#include "base/files.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <filesystem>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace muster::files_test {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "muster-files-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const char* name) const { return folder_ + "/" + name; }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  std::string folder_;
};

TEST_F(Files, whatIsWrittenIsRead) {
  std::string content(100'000, 'x');
  content[7] = '\0';
  ASSERT_TRUE(writeFileAtomically(path("a"), content, 0640).ok());
  EXPECT_EQ(*readFile(path("a"), 1_MiB), content);
  struct stat info {};
  ASSERT_EQ(stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  ASSERT_TRUE(writeFileAtomically(path("a"), "", 0600).ok());
  EXPECT_EQ(*readFile(path("a"), 0_B), "");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, aReaderOfTheOldFileKeepsTheOldContent) {
  ASSERT_TRUE(writeFileAtomically(path("a"), "old", 0600).ok());
  int fd = open(path("a").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(writeFileAtomically(path("a"), "new!", 0600).ok());
  char buffer[8] = {};
  EXPECT_EQ(read(fd, buffer, sizeof buffer), 3);
  EXPECT_STREQ(buffer, "old");
  close(fd);
}

TEST_F(Files, readingIsLimited) {
  ASSERT_TRUE(writeFileAtomically(path("a"), "12345", 0600).ok());
  EXPECT_TRUE(readFile(path("a"), 5_B).ok());
  auto tooLarge = readFile(path("a"), 4_B);
  ASSERT_FALSE(tooLarge.ok());
  EXPECT_EQ(tooLarge.refusal().code, RefusalCode::TOO_LARGE);
  // A file of /proc says size 0 and still has content.
  EXPECT_FALSE(readFile("/proc/self/status", 1_MiB)->empty());
}

TEST_F(Files, whatCannotBeReadIsSaid) {
  EXPECT_EQ(readFile(path("none"), 1_KiB).refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_EQ(readFile(folder_, 1_KiB).refusal().code, RefusalCode::INVALID_VALUE);
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);  // must not block for ever
  EXPECT_EQ(readFile(path("pipe"), 1_KiB).refusal().code, RefusalCode::INVALID_VALUE);
  EXPECT_THROW((void)writeFileAtomically(path("no/such"), "x", 0600), kj::Exception);
}

TEST_F(Files, aFullDiskRefusesAndKeepsTheOldContent) {
  // /dev/full gives ENOSPC without filling a disk; reached through a link, as a real full disk
  // would be.
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(writeFileAtomically(path("a"), "old", 0600).ok());
  struct rlimit small = before;
  small.rlim_cur = 10;
  auto oldHandler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto result = writeFileAtomically(path("a"), std::string(100, 'x'), 0600);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, oldHandler);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.refusal().code, RefusalCode::DISK_FULL);
  EXPECT_EQ(*readFile(path("a"), 1_KiB), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, aNewFileTakesItsNameOnlyWhenItIsWhole) {
  auto begun = NewFile::begin(path("a"), 0600);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE((*begun)->append("one ").ok());
  ASSERT_TRUE((*begun)->append("two").ok());
  EXPECT_FALSE(fs::exists(path("a")));
  ASSERT_TRUE((*begun)->finish(IfThere::REFUSE).ok());
  EXPECT_EQ(*readFile(path("a"), 1_MiB), "one two");
  struct stat info {};
  ASSERT_EQ(stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  *begun = nullptr;
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, aNewFileReplacesAnotherOnlyWhenItMay) {
  ASSERT_TRUE(writeFileAtomically(path("a"), "old", 0600).ok());
  for (IfThere ifThere : {IfThere::REFUSE, IfThere::REPLACE}) {
    auto begun = NewFile::begin(path("a"), 0600);
    ASSERT_TRUE((*begun)->append("new").ok());
    auto done = (*begun)->finish(ifThere);
    EXPECT_EQ(done.ok(), ifThere == IfThere::REPLACE);
    EXPECT_EQ(*readFile(path("a"), 1_MiB), done.ok() ? "new" : "old");
  }
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, aNewFileThatIsDroppedLeavesNothing) {
  auto begun = NewFile::begin(path("a"), 0600);
  ASSERT_TRUE((*begun)->append("half").ok());
  *begun = nullptr;
  EXPECT_EQ(entries(), 0u);
}

}  // namespace
}  // namespace muster::files_test
