// Memory that several processes of one user and one host map: an anonymous file, gone with its last
// user.
#pragma once

#include <kj/io.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/types.h>
#include <utility>

namespace muster::worker {

// Where a process of this host offers its memory. Only processes of the same user may open it: the
// kernel decides, and no name exists that somebody could guess.
struct SharedMemoryAddress {
  pid_t pid = 0;
  int fd = -1;
  bool operator==(const SharedMemoryAddress&) const = default;
};

// An anonymous file that can grow and never shrink, so that a mapping never loses its pages.
class SharedMemory {
 public:
  // Makes an empty one in this process. Throws a kj::Exception when the kernel has no more.
  static SharedMemory make();
  // Opens another process's (or our own). Throws a kj::Exception when that process is gone or
  // belongs to somebody else.
  static SharedMemory open(SharedMemoryAddress address);

  // Valid while this object lives.
  SharedMemoryAddress address() const;
  uint64_t size() const;
  // At least `bytes` long afterwards; new bytes are zero. Every user may grow it, in any order.
  void grow(uint64_t bytes);

  int fd() const { return fd_.get(); }

 private:
  explicit SharedMemory(kj::AutoCloseFd fd) : fd_(kj::mv(fd)) {}
  kj::AutoCloseFd fd_;
};

// A mapped piece of it.
class SharedMapping {
 public:
  // `offset`: a multiple of 4096; offset + bytes within the memory's size.
  SharedMapping(const SharedMemory& memory, uint64_t offset, uint64_t bytes);
  ~SharedMapping();
  SharedMapping(SharedMapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SharedMapping& operator=(SharedMapping&&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace muster::worker
