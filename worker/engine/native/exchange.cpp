#include "worker/engine/native/exchange.h"

namespace muster::worker {

bool Exchange::isDirect(const Collective& collective) const {
  return collective.onDevice() || backend_.memory() == MemoryKind::HOST;
}

std::span<const float> Exchange::readable(const Collective& collective, ConstActivations values) {
  const uint64_t count = uint64_t{values.rows} * values.width;
  if (isDirect(collective)) return {values.data, count};
  staging_.resize(count);
  backend_.download(std::as_writable_bytes(std::span(staging_)), values.data);
  return staging_;
}

void Exchange::sum(Activations values) {
  auto& tensor = collectives_.tensor;
  if (tensor.size() == 1) return;
  if (isDirect(tensor)) return tensor.allReduceSum({values.data, values.count()});
  readable(tensor, values);
  tensor.allReduceSum(staging_);
  backend_.upload(values.data, std::as_bytes(std::span(staging_)));
}

void Exchange::send(ConstActivations values, uint32_t stage) {
  auto& pipeline = collectives_.pipeline;
  pipeline.send(std::as_bytes(readable(pipeline, values)), stage);
}

void Exchange::receive(Activations values, uint32_t stage) {
  auto& pipeline = collectives_.pipeline;
  if (isDirect(pipeline)) {
    std::span<float> own(values.data, values.count());
    return pipeline.receive(std::as_writable_bytes(own), stage);
  }
  staging_.resize(values.count());
  pipeline.receive(std::as_writable_bytes(std::span(staging_)), stage);
  backend_.upload(values.data, std::as_bytes(std::span(staging_)));
}

std::vector<float> Exchange::toHost(ConstActivations values) {
  std::vector<float> copy(uint64_t{values.rows} * values.width);
  backend_.download(std::as_writable_bytes(std::span(copy)), values.data);
  return copy;
}

std::vector<float> Exchange::gather(ConstActivations values) {
  auto& tensor = collectives_.tensor;
  if (tensor.size() == 1) return toHost(values);
  const auto mine = std::as_bytes(readable(tensor, values));
  std::vector<float> all(uint64_t{values.rows} * values.width * tensor.size());
  auto bytes = std::as_writable_bytes(std::span(all));
  if (!tensor.onDevice()) {
    tensor.allGather(mine, bytes);
    return all;
  }
  DeviceBuffer gathered(backend_, bytes.size());
  tensor.allGather(mine, {static_cast<std::byte*>(gathered.memory()), bytes.size()});
  backend_.download(bytes, gathered.memory());
  return all;
}

}  // namespace muster::worker
