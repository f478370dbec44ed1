#include "worker/collective/shared_memory.h"

#include <kj/debug.h>

#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace muster::worker {

SharedMemory SharedMemory::make() {
  int fd = -1;
  KJ_SYSCALL(fd = ::memfd_create("muster-group", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  kj::AutoCloseFd file(fd);
  KJ_SYSCALL(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  return SharedMemory(kj::mv(file));
}

SharedMemory SharedMemory::open(SharedMemoryAddress address) {
  std::string path = "/proc/" + std::to_string(address.pid) + "/fd/" + std::to_string(address.fd);
  int fd = -1;
  KJ_SYSCALL(fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC), path.c_str());
  return SharedMemory(kj::AutoCloseFd(fd));
}

SharedMemoryAddress SharedMemory::address() const { return {::getpid(), fd_.get()}; }

uint64_t SharedMemory::size() const {
  struct stat info {};
  KJ_SYSCALL(::fstat(fd_, &info));
  return static_cast<uint64_t>(info.st_size);
}

void SharedMemory::grow(uint64_t bytes) {
  // Two users that grow it at once: the seal turns the lesser one's late call into EPERM.
  while (size() < bytes) {
    if (::ftruncate(fd_, static_cast<off_t>(bytes)) == 0) break;
    KJ_REQUIRE(size() >= bytes, "shared memory cannot grow", bytes);
  }
}

SharedMapping::SharedMapping(const SharedMemory& memory, uint64_t offset, uint64_t bytes) {
  KJ_REQUIRE(offset + bytes <= memory.size(), "a mapping beyond its memory", offset, bytes);
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(),
                        static_cast<off_t>(offset));
  if (mapped == MAP_FAILED) KJ_FAIL_SYSCALL("mmap", errno, bytes);
  bytes_ = {static_cast<std::byte*>(mapped), bytes};
}

SharedMapping::~SharedMapping() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace muster::worker
