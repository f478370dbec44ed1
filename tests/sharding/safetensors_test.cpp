#include "sharding/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::sharding::safetensors_test {
namespace {

using testing::HasSubstr;

std::string withLength(uint64_t length, const std::string& rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes + rest;
}

std::string withLength(const std::string& json) { return withLength(json.size(), json); }

const char* const TWO =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  )";

TEST(Safetensors, readsTensorsWithAbsoluteOffsets) {
  std::string head = withLength(TWO);
  auto header = parseSafetensors("m.safetensors", head, head.size() + 20);
  ASSERT_TRUE(header) << header.refusal().text;
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[0],
            (TensorInfo{"a", Dtype::F32, {2}, "m.safetensors", head.size(), 8}));
  EXPECT_EQ(header->tensors[1],
            (TensorInfo{"b", Dtype::BF16, {2, 3}, "m.safetensors", head.size() + 8, 12}));
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(Safetensors, acceptsScalarsAndEmptyTensors) {
  std::string head = withLength(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                                R"("e":{"dtype":"F16","shape":[0,4],"data_offsets":[8,8]}})");
  auto header = parseSafetensors("m.safetensors", head, head.size() + 8);
  ASSERT_TRUE(header) << header.refusal().text;
  EXPECT_EQ(header->tensors[0].bytes, 0u);
  EXPECT_EQ(header->tensors[1].bytes, 8u);
}

struct BadHeader {
  const char* name;
  std::string json;
  uint64_t dataBytes;
  const char* says;
};

const char* const ONE = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

TEST(Safetensors, refusesBadHeadersAndNamesFileTensorAndValues) {
  const BadHeader CASES[] = {
      {"not JSON", "{\"a\":", 8, "not JSON at byte"},
      {"an array", "[1]", 8, "cannot hold an array"},
      {"text after the object", std::string(ONE) + "x", 8, "not JSON"},
      {"overlap",
       R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
           "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "overlaps tensor \"a\""},
      {"same bytes twice",
       R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
           "b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       8, "\"b\": begins at byte"},
      {"hole",
       R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
           "b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}})",
       20, "a hole of 4 bytes"},
      {"hole at the start", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12,
       "a hole of 4 bytes"},
      {"bytes left over", ONE, 9, "1 bytes from byte"},
      {"out of the file", ONE, 7, "reach beyond the 7 bytes"},
      {"far out of the file",
       R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[18446744073709551613,18446744073709551615]}})",
       8, "reach beyond"},
      {"backwards", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8,
       "end before they begin"},
      {"unknown dtype", R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8,
       "unknown dtype \"F31\""},
      {"shape and bytes differ", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
       "shape [3] of F32 takes 12 bytes"},
      {"shape overflows",
       R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8,
       "more than 2^64"},
      {"negative length", R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8,
       "cannot hold -2"},
      {"fraction", R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8,
       "cannot hold 2.5"},
      {"duplicate name",
       R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
           "a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
       16, "tensor \"a\" appears twice"},
      {"duplicate field", R"({"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}})",
       8, "\"dtype\" appears twice"},
      {"unknown field", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"pickle":"x"}})", 8,
       "\"pickle\" is no field"},
      {"missing dtype", R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8, "dtype is missing"},
      {"missing offsets", R"({"a":{"dtype":"F32","shape":[2]}})", 8, "data_offsets is missing"},
      {"one offset", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8,
       "must be two numbers"},
      {"three offsets", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}})", 8,
       "more numbers"},
      {"number for a tensor", R"({"a":7})", 8, "\"a\": cannot hold 7"},
      {"metadata of numbers", R"({"__metadata__":{"x":1}})", 0, "cannot hold 1"},
      {"nested object", R"({"a":{"dtype":{"x":1}}})", 8, "cannot hold an object"},
      {"nested array", R"({"a":{"shape":[[[[2]]]]}})", 8, "cannot hold an array"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    std::string head = withLength(c.json);
    auto header = parseSafetensors("m.safetensors", head, head.size() + c.dataBytes);
    ASSERT_FALSE(header);
    EXPECT_EQ(header.refusal().code, RefusalCode::MODEL_FILE_CORRUPT);
    EXPECT_THAT(header.refusal().text, HasSubstr("m.safetensors: "));
    EXPECT_THAT(header.refusal().text, HasSubstr(c.says));
  }
}

TEST(Safetensors, refusesTruncatedAndOversizedHeaders) {
  struct Case {
    const char* name;
    std::string head;
    uint64_t fileBytes;
    const char* says;
  };
  std::string good = withLength(ONE);
  const Case CASES[] = {
      {"empty file", "", 0, "truncated: 0 bytes"},
      {"half a length", std::string(4, '\0'), 4, "truncated: 4 bytes"},
      {"over 100 MB", withLength(100'000'001, "{"), 1ull << 40, "at most 100000000"},
      {"length of all ones", withLength(~0ull, "{"), 1ull << 40, "at most 100000000"},
      {"header beyond the file", withLength(500, ONE), 100, "truncated: the header takes 500"},
      {"read too little", good.substr(0, 20), good.size() + 8, "20 bytes were read"},
      {"no header", withLength(""), 8, "not JSON"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto header = parseSafetensors("m.safetensors", c.head, c.fileBytes);
    ASSERT_FALSE(header);
    EXPECT_EQ(header.refusal().code, RefusalCode::MODEL_FILE_CORRUPT);
    EXPECT_THAT(header.refusal().text, HasSubstr(c.says));
  }
}

// Every prefix of a good file and every single changed byte of its header gives tensors or a
// refusal, never a crash.
TEST(Safetensors, survivesEveryTruncationAndEveryFlippedBit) {
  std::string head = withLength(TWO);
  uint64_t fileBytes = head.size() + 20;
  for (size_t length = 0; length < head.size(); ++length) {
    EXPECT_FALSE(parseSafetensors("m", std::string_view(head).substr(0, length), length));
  }
  for (size_t i = 0; i < head.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = head;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      auto header = parseSafetensors("m", changed, fileBytes);
      if (!header) {
        EXPECT_EQ(header.refusal().code, RefusalCode::MODEL_FILE_CORRUPT);
      }
    }
  }
}

TEST(SafetensorsIndex, readsTheWeightMap) {
  auto index = parseIndex(
      R"({"metadata":{"total_size":20},"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})");
  ASSERT_TRUE(index) << index.refusal().text;
  EXPECT_EQ(index->fileOfTensor.at("b"), "y.safetensors");
  EXPECT_THAT(index->files(), testing::ElementsAre("x.safetensors", "y.safetensors"));
}

TEST(SafetensorsIndex, refusesWhatIsNoIndex) {
  struct Case {
    const char* name;
    std::string json;
    RefusalCode code;
    const char* says;
  };
  const Case CASES[] = {
      {"broken", "{", RefusalCode::MODEL_CONFIG_INVALID, "not JSON"},
      {"an array", "[]", RefusalCode::MODEL_CONFIG_INVALID, "an object is wanted"},
      {"no map", "{}", RefusalCode::MODEL_CONFIG_INVALID, "weight_map is missing"},
      {"number", R"({"weight_map":{"a":1}})", RefusalCode::MODEL_CONFIG_INVALID, "\"a\""},
      {"twice", R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})",
       RefusalCode::MODEL_CONFIG_INVALID, "appears twice"},
      {"too deep", std::string(40, '[') + std::string(40, ']'), RefusalCode::MODEL_CONFIG_INVALID,
       "nested deeper"},
      {"parent", R"({"weight_map":{"a":"../x.safetensors"}})", RefusalCode::MODEL_OUTSIDE_ROOTS,
       "plain file name"},
      {"absolute", R"({"weight_map":{"a":"/etc/x.safetensors"}})", RefusalCode::MODEL_OUTSIDE_ROOTS,
       "plain file name"},
      {"zero byte", "{\"weight_map\":{\"a\":\"x\\u0000.safetensors\"}}",
       RefusalCode::MODEL_OUTSIDE_ROOTS, "plain file name"},
      {"pickle", R"({"weight_map":{"a":"pytorch_model.bin"}})", RefusalCode::MODEL_FORMAT_REFUSED,
       "only .safetensors"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto index = parseIndex(c.json);
    ASSERT_FALSE(index);
    EXPECT_EQ(index.refusal().code, c.code);
    EXPECT_THAT(index.refusal().text, HasSubstr(c.says));
  }
}

TEST(SafetensorsIndex, namesMissingFiles) {
  ModelIndex index{{{"a", "x.safetensors"}, {"b", "y.safetensors"}}};
  EXPECT_TRUE(checkIndexFiles(index, {"x.safetensors", "y.safetensors", "z.safetensors"}));
  auto refused = checkIndexFiles(index, {"x.safetensors"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.refusal().code, RefusalCode::MODEL_FILE_CORRUPT);
  EXPECT_THAT(refused.refusal().text, HasSubstr("y.safetensors, which is missing"));
}

TEST(SafetensorsIndex, mustAgreeWithTheHeaders) {
  SafetensorsHeader x{{{"a", Dtype::F32, {2}, "x.safetensors", 100, 8}}, {}};
  SafetensorsHeader y{{{"b", Dtype::F32, {2}, "y.safetensors", 100, 8}}, {}};
  SafetensorsHeader again{{{"a", Dtype::F32, {2}, "z.safetensors", 100, 8}}, {}};
  ModelIndex index{{{"a", "x.safetensors"}, {"b", "y.safetensors"}}};

  auto all = gatherTensors({y, x}, &index);
  ASSERT_TRUE(all) << all.refusal().text;
  EXPECT_EQ((*all)[0].name, "a");
  EXPECT_EQ((*all)[1].file, "y.safetensors");

  EXPECT_THAT(gatherTensors({x, again}, nullptr).refusal().text,
              HasSubstr("again in z.safetensors"));
  EXPECT_THAT(gatherTensors({x}, &index).refusal().text, HasSubstr("holds tensor \"b\""));
  ModelIndex swapped{{{"a", "y.safetensors"}, {"b", "y.safetensors"}}};
  EXPECT_THAT(gatherTensors({x, y}, &swapped).refusal().text, HasSubstr("says y.safetensors"));
  ModelIndex less{{{"a", "x.safetensors"}}};
  EXPECT_THAT(gatherTensors({x, y}, &less).refusal().text, HasSubstr("leaves it out"));
}

}  // namespace
}  // namespace muster::sharding::safetensors_test
