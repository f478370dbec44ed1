// Whole files, read with a limit and replaced so that a reader sees the old or the new content,
// never a part.
#pragma once

#include "base/result.h"
#include "base/units.h"

#include <kj/memory.h>

#include <string>
#include <string_view>
#include <sys/types.h>

namespace muster {

// The content of a regular file. Refuses NOT_FOUND when there is none, TOO_LARGE above `limit`,
// INVALID_VALUE for a directory or device. Throws a kj::Exception for any other error, with the
// path.
Result<std::string> readFile(const std::string& path, Bytes limit);

// Writes a new file beside `path`, flushes it to the disk, renames it over `path` and flushes the
// directory. Until it succeeds the old content stands. `mode` holds whatever the umask is. Refuses
// DISK_FULL (also an exceeded quota); throws a kj::Exception for any other error. Blocks while the
// disk works.
Result<Done> writeFileAtomically(const std::string& path, std::string_view bytes, mode_t mode);

enum class IfThere { REFUSE, REPLACE };

// A file that is written piece by piece beside its place and takes its name only when it is whole
// and on the disk. Dropped before that, it leaves nothing. Each call blocks while the disk works,
// refuses DISK_FULL (also an exceeded quota), and throws a kj::Exception for any other error.
class NewFile {
 public:
  // `mode` holds whatever the umask is.
  static Result<kj::Own<NewFile>> begin(const std::string& path, mode_t mode);
  virtual ~NewFile() noexcept(false) = default;

  virtual Result<Done> append(std::string_view bytes) = 0;
  // Flushes it, renames it to its path and flushes the directory. Refuses INVALID_VALUE when a file
  // of that name is there and may not be replaced.
  virtual Result<Done> finish(IfThere ifThere) = 0;
};

}  // namespace muster
