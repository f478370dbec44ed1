#include "worker/engine/native/group_links.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <span>

namespace muster::worker {
namespace {

using DeviceName = std::array<char, 64>;  // a UUID, filled up with zeros

// What every rank computes on, by rank.
std::vector<std::string> exchangeDevices(Collective& world, const std::string& mine) {
  DeviceName name{};
  std::memcpy(name.data(), mine.data(), std::min(mine.size(), name.size() - 1));
  std::vector<DeviceName> all(world.size());
  world.allGather(std::as_bytes(std::span(name)), std::as_writable_bytes(std::span(all)));
  std::vector<std::string> devices;
  devices.reserve(all.size());
  for (const DeviceName& one : all) devices.emplace_back(one.data());
  return devices;
}

}  // namespace

bool mayGoDirect(const std::vector<std::string>& devices) {
  std::set<std::string> unlike(devices.begin(), devices.end());
  return unlike.size() == devices.size() && !unlike.contains("");
}

void GroupLinks::goDirect(DirectDevice* device, Duration deadline) {
  if (host_.world.size() == 1) return;
  auto devices = exchangeDevices(host_.world, device == nullptr ? "" : device->uuid());
  if (device == nullptr || !mayGoDirect(devices)) return;
  if (host_.tensor.size() > 1) join(*device, host_.tensor, deadline, tensor_);
  if (host_.pipeline.size() > 1) join(*device, host_.pipeline, deadline, pipeline_);
  direct_ = true;
}

void GroupLinks::join(DirectDevice& device, Collective& host, Duration deadline,
                      kj::Own<Collective>& made) {
  auto collective = device.makeCollective(host, deadline);
  std::lock_guard lock(mutex_);
  if (!aborted_.empty()) collective->abort(aborted_);
  made = kj::mv(collective);
}

RankCollectives GroupLinks::collectives() {
  return {host_.world, tensor_.get() == nullptr ? host_.tensor : *tensor_,
          pipeline_.get() == nullptr ? host_.pipeline : *pipeline_, host_.logits};
}

void GroupLinks::abort(const std::string& why) {
  std::lock_guard lock(mutex_);
  aborted_ = why.empty() ? "aborted" : why;
  if (tensor_.get() != nullptr) tensor_->abort(aborted_);
  if (pipeline_.get() != nullptr) pipeline_->abort(aborted_);
}

}  // namespace muster::worker
