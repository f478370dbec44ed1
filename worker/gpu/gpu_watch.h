// Looks at the GPUs' health again and again, on threads of its own: a driver may block.
#pragma once

#include "base/co.h"
#include "base/tasks.h"
#include "worker/gpu/gpu_driver.h"

#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

struct GpuWatchPolicy {
  Duration interval = 2_s;  // between looks
  Duration silence = 30_s;  // a driver that takes longer over one look counts as hanging
};

class GpuWatch {
 public:
  using Troubles = std::map<DeviceIndex, std::string>;

  // `tell` hears each change of what `driver` says, on the event loop; `known` is what has been
  // told before. While the driver hangs all `gpus` are in trouble, and no other look begins.
  GpuWatch(kj::Timer& timer, std::shared_ptr<GpuDriver> driver, std::vector<DeviceIndex> gpus,
           Troubles known, kj::Function<void(const Troubles&)> tell, GpuWatchPolicy policy = {});

 private:
  Co<void> run();
  kj::Promise<void> tellWhenLate();
  void take(Troubles troubles);

  kj::Timer& timer_;
  std::shared_ptr<GpuDriver> driver_;
  std::vector<DeviceIndex> gpus_;
  Troubles known_;
  kj::Function<void(const Troubles&)> tell_;
  GpuWatchPolicy policy_;
  Tasks tasks_;
};

}  // namespace muster::worker
