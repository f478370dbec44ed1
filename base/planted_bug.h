// Places where a mistake can be planted, to see whether the simulation's checkers find it.
//
// Everywhere but in the one test program that is compiled with MUSTER_PLANTED_BUGS the macro is the
// constant false, and nothing of it is left in the code.
#pragma once

#ifdef MUSTER_PLANTED_BUGS
#include <string_view>
namespace muster {
// Whether this run is to have that mistake; defined by the test program.
bool isPlanted(std::string_view bug);
}  // namespace muster
#define MUSTER_PLANTED_BUG(name) ::muster::isPlanted(#name)
#else
#define MUSTER_PLANTED_BUG(name) false
#endif
