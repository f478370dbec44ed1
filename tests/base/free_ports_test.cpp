#include "base/free_ports.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

namespace muster::free_ports_test {
namespace {

// An outgoing connection of anybody takes one of the kernel's; a server that starts again would
// find its own taken.
TEST(FreePorts, liesBelowThoseThatTheKernelGives) {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  uint16_t first = 0;
  ASSERT_TRUE(range >> first);
  FreePorts ports;
  for (int i = 0; i < 50; i++) {
    uint16_t port = ports.any();
    EXPECT_LT(port, first);
    EXPECT_GE(port, 1024);
  }
}

TEST(FreePorts, givesNoneTwiceAndNoneThatIsTaken) {
  FreePorts ports;
  std::set<uint16_t> given;
  for (int i = 0; i < 200; i++) EXPECT_TRUE(given.insert(ports.any()).second);
}

TEST(FreePorts, givesAnotherForOneThatSomebodyHolds) {
  FreePorts holder;
  uint16_t taken = holder.any();
  EXPECT_FALSE(isFree(taken));
  EXPECT_NE(FreePorts().preferred(taken), taken);
}

TEST(FreePorts, keepsItsClaimsWhileServersComeAndGo) {
  FreePorts ports;
  uint16_t given = ports.any();
  ports.letListen();
  EXPECT_TRUE(isFree(given));
  EXPECT_EQ(ports.claims().size(), 1u);
  FreePorts others;
  others.claim(given);
  EXPECT_TRUE(others.claims().empty()) << "it is claimed, though nobody listens";
  ports = FreePorts();
  others.claim(given);
  EXPECT_EQ(others.claims().size(), 1u);
}

TEST(FreePorts, givesThePortThatIsWantedOnceNobodyHoldsIt) {
  uint16_t port = FreePorts().any();
  EXPECT_EQ(FreePorts().preferred(port), port);
}

}  // namespace
}  // namespace muster::free_ports_test
