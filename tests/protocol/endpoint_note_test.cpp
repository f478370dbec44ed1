#include "protocol/endpoint_note.h"

#include <gtest/gtest.h>

namespace muster::endpoint_note_test {
namespace {

TEST(EndpointNote, isFoundAgain) {
  for (const char* endpoint : {"https://10.0.0.3:41005", "http://[::1]:8000"}) {
    EXPECT_EQ(endpointOf(endpointNote(endpoint)), endpoint);
  }
  EXPECT_EQ(endpointNote(""), "");
}

TEST(EndpointNote, othersMessagesNameNone) {
  for (const char* message :
       {"", "not ready within 5s", "it answers at http://x:1", "answers at "}) {
    EXPECT_EQ(endpointOf(message), "") << message;
  }
  EXPECT_EQ(endpointOf("answers at http://x:1 and is slow"), "http://x:1");
}

}  // namespace
}  // namespace muster::endpoint_note_test
