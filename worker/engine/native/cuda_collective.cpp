// NCCL behind the interface of all collectives. Spans name device memory here.
#include "worker/engine/native/cuda_backend.h"
#include "worker/engine/native/cuda_device.h"

#include <array>

namespace muster::worker {
namespace {

constexpr size_t ID_BYTES = 128;

class CudaCollective final : public Collective {
 public:
  CudaCollective(CudaDevice& gpu, Collective& host, Duration deadline)
      : gpu_(gpu), rank_(host.rank()), size_(host.size()) {
    KJ_REQUIRE(gpu.call().join != nullptr, "libmuster_cuda.so was built without NCCL");
    std::array<std::byte, ID_BYTES> id{};
    if (rank_ == 0) gpu.check(gpu.call().makeCommunicatorId(id.data()), "NCCL makes no id");
    host.broadcast(id, 0);
    auto timeoutMs = static_cast<uint32_t>(deadline.millis());
    communicator_ = gpu.call().join(gpu.device(), id.data(), rank_, size_, timeoutMs);
    done(communicator_ != nullptr);
  }
  ~CudaCollective() noexcept(false) override { gpu_.call().leave(communicator_); }
  KJ_DISALLOW_COPY(CudaCollective);

  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return size_; }
  bool onDevice() const override { return true; }

  void allReduceSum(std::span<float> values) override {
    done(gpu_.call().allReduceSum(communicator_, values.data(), values.size()));
  }
  void allGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    KJ_REQUIRE(all.size() == mine.size() * size_, "the parts do not fill the whole", all.size());
    done(gpu_.call().allGather(communicator_, mine.data(), mine.size(), all.data()));
  }
  void broadcast(std::span<std::byte> bytes, uint32_t root) override {
    done(gpu_.call().broadcast(communicator_, bytes.data(), bytes.size(), root));
  }
  void send(std::span<const std::byte> bytes, uint32_t to) override {
    done(gpu_.call().send(communicator_, bytes.data(), bytes.size(), to));
  }
  void receive(std::span<std::byte> bytes, uint32_t from) override {
    done(gpu_.call().receive(communicator_, bytes.data(), bytes.size(), from));
  }
  void abort(std::string) override { gpu_.call().abort(communicator_); }

 private:
  void done(bool succeeded) const {
    if (!succeeded) throw CollectiveBroken(std::string("NCCL, ") + gpu_.call().lastError());
  }

  CudaDevice& gpu_;
  uint32_t rank_;
  uint32_t size_;
  MusterCudaCommunicator* communicator_ = nullptr;
};

}  // namespace

kj::Own<Collective> makeCudaCollective(Backend& backend, Collective& host, Duration deadline) {
  return kj::heap<CudaCollective>(kj::downcast<CudaDevice>(backend), host, deadline);
}

}  // namespace muster::worker
