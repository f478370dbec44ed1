#include "worker/engine/native/operation_board.h"

#include <kj/io.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <errno.h>
#include <fcntl.h>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace muster::worker {
namespace {

// A reader that met the rank between two stores looks again.
constexpr int BOARD_READS_MAX = 8;

SharedMemory boardMemory() {
  SharedMemory memory = SharedMemory::make();
  memory.grow(sizeof(OperationBoard::Page));
  return memory;
}

// The words of a board at one time.
struct BoardWords {
  uint64_t loop = 0;
  uint64_t engine = 0;
  uint64_t step = 0;
  bool operator==(const BoardWords&) const = default;
};

RankOperation operationOf(uint64_t word) { return static_cast<RankOperation>(word >> 56); }
uint64_t begunOf(uint64_t word) { return word & ((uint64_t{1} << 40) - 1); }

LastOperation unpack(const BoardWords& words) {
  bool engineWorks = operationOf(words.engine) != RankOperation::NONE;
  uint64_t word = engineWorks ? words.engine : words.loop;
  LastOperation last{.what = operationOf(word),
                     .detail = static_cast<uint32_t>(word >> 40 & 0xffff),
                     .begun = begunOf(words.loop) + begunOf(words.engine)};
  if (!isPartOfStep(last.what)) return last;
  last.step = words.step >> 16;
  last.sequences = static_cast<uint32_t>(words.step & 0xffff);
  return last;
}

bool namesFile(const LastOperation& last) {
  bool isOfFile = last.what == RankOperation::OPEN_FILE || last.what == RankOperation::LOAD_FILE;
  return isOfFile && last.detail < OperationBoard::FILES_MAX;
}

// It may come from another process, which may have left out the zero at its end.
std::string fileText(const OperationBoard::FileName& name) {
  return {name.begin(), std::find(name.begin(), name.end(), '\0')};
}

// What another process's board holds, by reads: a mapping would kill us if the file were cut.
class BoardFile {
 public:
  explicit BoardFile(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}

  bool isBoard() const {
    struct stat info {};
    bool isFile = fd_.get() >= 0 && ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
    std::array<char, 8> magic{};
    return isFile && read(magic, 0) && magic == OperationBoard::MAGIC;
  }
  std::optional<BoardWords> words() const {
    uint64_t words[3]{};
    if (!read(words, offsetof(OperationBoard::Page, loop))) return std::nullopt;
    return BoardWords{words[0], words[1], words[2]};
  }
  std::string file(uint32_t number) const {
    OperationBoard::FileName name{};
    read(name, offsetof(OperationBoard::Page, files) + number * sizeof name);
    return fileText(name);
  }

 private:
  template <class T>
  bool read(T& to, size_t offset) const {
    return ::pread(fd_, &to, sizeof to, static_cast<off_t>(offset)) == ssize_t{sizeof to};
  }

  kj::AutoCloseFd fd_;
};

}  // namespace

OperationBoard::OperationBoard()
    : memory_(boardMemory()),
      mapping_(memory_, 0, sizeof(OperationBoard::Page)),
      page_(*reinterpret_cast<Page*>(mapping_.bytes().data())) {
  page_.magic = MAGIC;
  begin(RankOperation::START);
}

Result<Done> OperationBoard::publish(const std::string& path) const {
  SharedMemoryAddress at = memory_.address();
  std::string target = "/proc/" + std::to_string(at.pid) + "/fd/" + std::to_string(at.fd);
  ::unlink(path.c_str());
  if (::symlink(target.c_str(), path.c_str()) == 0) return Done{};
  return Refusal{.code = RefusalCode::INTERNAL,
                 .text = "cannot make " + path + ": " + std::strerror(errno)};
}

void OperationBoard::nameFiles(const std::vector<std::string>& names) {
  for (uint32_t i = 0; i < std::min<size_t>(names.size(), FILES_MAX); ++i) {
    page_.files[i] = {};
    std::copy_n(names[i].begin(), std::min(names[i].size(), sizeof(FileName) - 1),
                page_.files[i].begin());
  }
}

void OperationBoard::beginFile(RankOperation what, const std::string& name) {
  std::string cut = name.substr(0, sizeof(FileName) - 1);
  const auto* found = std::find_if(std::begin(page_.files), std::end(page_.files),
                                   [&](const FileName& file) { return file.data() == cut; });
  begin(what, static_cast<uint32_t>(found - std::begin(page_.files)));
}

// Released behind what the step before noted: nobody sees this number beside its operations.
void OperationBoard::beginStep(uint64_t step, size_t sequences) {
  page_.step.store(step << 16 | std::min<size_t>(sequences, 0xffff), std::memory_order_release);
}

LastOperation OperationBoard::last() const {
  LastOperation last = unpack({page_.loop.load(std::memory_order_acquire),
                               page_.engine.load(std::memory_order_acquire),
                               page_.step.load(std::memory_order_acquire)});
  if (namesFile(last)) last.file = fileText(page_.files[last.detail]);
  return last;
}

std::string OperationBoard::duringText() const {
  LastOperation now = last();
  return isPartOfStep(now.what) ? ", during " + toText(now) : "";
}

std::optional<LastOperation> readOperationBoard(const std::string& path) {
  BoardFile file(path);
  if (!file.isBoard()) return std::nullopt;
  auto words = file.words();
  bool isSettled = false;
  for (int reads = 1; words && !isSettled && reads < BOARD_READS_MAX; ++reads) {
    auto again = file.words();
    isSettled = again == words;
    words = again;
  }
  if (!words) return std::nullopt;
  LastOperation last = unpack(*words);
  if (!isSettled) last.step = last.sequences = 0;
  if (namesFile(last)) last.file = file.file(last.detail);
  return last;
}

}  // namespace muster::worker
