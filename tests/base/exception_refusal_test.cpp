#include "base/exception_refusal.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

namespace muster::exception_refusal_test {
namespace {

TEST(ExceptionRefusal, theFirstCodeThatExistsNamesTheRefusal) {
  struct Case {
    const char* text;
    RefusalCode code;
    const char* rest;
  };
  for (const auto& c : {Case{"E0707 disk full: /x", RefusalCode::DISK_FULL, "disk full: /x"},
                        Case{"expected ok; E0706 taken", RefusalCode::PORT_IN_USE, "taken"},
                        Case{"E0999 or E0707 full", RefusalCode::DISK_FULL, "full"},
                        Case{"E0707", RefusalCode::DISK_FULL, ""},
                        Case{"no code at all", RefusalCode::INTERNAL, "no code at all"}}) {
    SCOPED_TRACE(c.text);
    Refusal refusal = refusalOf(KJ_EXCEPTION(FAILED, kj::str(c.text)));
    EXPECT_EQ(refusal.code, c.code);
    EXPECT_EQ(refusal.text, c.rest);
  }
}

}  // namespace
}  // namespace muster::exception_refusal_test
