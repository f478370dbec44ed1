// What Muster itself gives to an engine: ports, ranks, rendezvous, parallel sizes, devices, served
// name.
#pragma once

#include <string_view>

namespace muster {

// Whether `engine.args` may not set it. Leading dashes, letter case, and "_" for "-" make no
// difference, so that "--Tensor_Parallel-Size" is found too.
bool isReservedArgument(std::string_view name);

// Whether `engine.env` may not set it: MUSTER_*, torchrun's names, and device visibility.
bool isReservedVariable(std::string_view name);

}  // namespace muster
