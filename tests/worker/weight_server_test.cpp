// The weight port as a stranger meets it: who gets in, which bytes are given, how many at a time.
#include "worker/weight_server.h"

#include "protocol/codec.h"
#include "protocol/weights.capnp.h"
#include "tests/worker/weight_fixture.h"
#include "worker/weight_transfer.h"

#include <gmock/gmock.h>
#include <xxhash.h>

namespace muster::worker::weight_server_test {
namespace {

using testing::HasSubstr;
using Files = schema::ModelFiles::Client;
using Answer = capnp::Response<schema::ModelFiles::ReadResults>;

struct Wanted {
  std::string file;
  uint64_t offset = 0;
  uint64_t rows = 1;
  uint64_t rowBytes = 16;
  uint64_t stride = 0;
};

class WeightServerTest : public WeightFixture {
 protected:
  ~WeightServerTest() noexcept override {}

  void dial(Role role = Role::WORKER) {
    connection_ = nullptr;
    transport_ = transport(role, "w9");
    connection_ = within(connectRpc(*transport_, loop_.timer(), node_.peer.address, Role::WORKER));
  }
  auto open(const std::string& source, const std::string& digest) {
    auto request = connection_->bootstrap<schema::WeightGate>().openRequest();
    request.setSource(source.c_str());
    request.setManifestDigest(digest.c_str());
    return within(request.send().then([](auto&& response) { return kj::mv(response); }));
  }
  Files openModel() { return open(model_.source(), manifest().digest).getFiles(); }
  kj::Promise<Answer> read(Files& files, const Wanted& wanted) {
    auto request = files.readRequest();
    request.setFile(wanted.file.c_str());
    request.setOffsetBytes(wanted.offset);
    request.setRows(wanted.rows);
    request.setRowBytes(wanted.rowBytes);
    request.setStrideBytes(wanted.stride);
    return request.send().then([](Answer&& answer) { return kj::mv(answer); });
  }
  RefusalCode codeOf(Files& files, const Wanted& wanted) {
    return decode(within(read(files, wanted)).getRefusal()).code;
  }

  Node node_ = serve("w1");
  kj::Own<Transport> transport_;
  kj::Own<RpcConnection> connection_;
};

TEST_F(WeightServerTest, givesRunsOfAFileWithTheirChecksum) {
  dial();
  Files files = openModel();
  std::string name = manifest().files[0].name;
  std::string whole = SampleModel::read(model_.folder / name);
  auto answer =
      within(read(files, {.file = name, .offset = 100, .rows = 3, .rowBytes = 20, .stride = 50}));
  std::string wanted = whole.substr(100, 20) + whole.substr(150, 20) + whole.substr(200, 20);
  auto bytes = answer.getBytes().asChars();
  EXPECT_EQ(std::string(bytes.begin(), bytes.size()), wanted);
  EXPECT_EQ(answer.getChecksum(), XXH3_64bits(wanted.data(), wanted.size()));
}

TEST_F(WeightServerTest, onlyAWorkerGetsIn) {
  for (Role role : ALL_ROLES) {
    if (role == Role::WORKER) continue;
    SCOPED_TRACE(std::string(toText(role)));
    dial(role);
    auto refused = kj::runCatchingExceptions([&] { openModel(); });
    KJ_IF_MAYBE (why, refused) {
      EXPECT_THAT(why->getDescription().cStr(), HasSubstr("E0202 not allowed"));
    } else {
      ADD_FAILURE() << "it got in";
    }
  }
}

TEST_F(WeightServerTest, whoHasNoCertificateOfTheClusterIsNotHeard) {
  TemporaryFolder elsewhere;
  createCa(elsewhere.path(), CLUSTER);
  auto files = issueCertificate(
      elsewhere.path(), {.identity = {Role::WORKER, "w9"}, .cluster = CLUSTER}, elsewhere.path());
  transport_ = makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER, files);
  auto refused = kj::runCatchingExceptions([&] {
    connection_ = within(connectRpc(*transport_, loop_.timer(), node_.peer.address, Role::WORKER));
    openModel();
  });
  EXPECT_TRUE(refused != nullptr);
  EXPECT_EQ(node_.server->readers(), 0u);
}

TEST_F(WeightServerTest, refusesAModelThatIsNotHereOrAnotherOne) {
  dial();
  auto absent = open("file:" + model_.root.string() + "/absent", "d");
  EXPECT_EQ(decode(absent.getRefusal()).code, RefusalCode::MODEL_NOT_FOUND);
  auto outside = open("file:/etc", "d");
  EXPECT_EQ(decode(outside.getRefusal()).code, RefusalCode::MODEL_OUTSIDE_ROOTS);
  auto other = open(model_.source(), "d");
  EXPECT_EQ(decode(other.getRefusal()).code, RefusalCode::MODEL_NOT_FOUND);
  EXPECT_THAT(decode(other.getRefusal()).text, HasSubstr("another model here"));
}

TEST_F(WeightServerTest, refusesOtherFilesAndWhatIsNoPiece) {
  SampleModel::write(model_.folder / "secret", "not for others");
  dial();
  Files files = openModel();
  std::string name = manifest().files[0].name;
  uint64_t size = manifest().files[0].size.count;
  constexpr uint64_t HUGE_NUMBER = ~uint64_t{0};
  struct Case {
    const char* name;
    Wanted wanted;
    RefusalCode code;
  };
  const Case cases[] = {
      {"a file that is not of the model", {.file = "secret"}, RefusalCode::NOT_FOUND},
      {"a way out of the folder", {.file = "../data"}, RefusalCode::NOT_FOUND},
      {"a text that the model lacks", {.file = "tokenizer.json"}, RefusalCode::MODEL_NOT_FOUND},
      {"nothing", {.file = name, .rows = 0}, RefusalCode::INVALID_VALUE},
      {"beyond the end", {.file = name, .offset = size - 15}, RefusalCode::INVALID_VALUE},
      {"a last run beyond the end",
       {.file = name, .offset = size - 64, .rows = 2, .stride = 49},
       RefusalCode::INVALID_VALUE},
      {"too much", {.file = name, .rowBytes = WEIGHT_PIECE_MAX + 1}, RefusalCode::INVALID_VALUE},
      {"too much in many runs",
       {.file = name, .rows = WEIGHT_PIECE_MAX / 16 + 1},
       RefusalCode::INVALID_VALUE},
      {"numbers that overflow",
       {.file = name, .offset = HUGE_NUMBER - 3, .rows = HUGE_NUMBER, .stride = HUGE_NUMBER},
       RefusalCode::INVALID_VALUE},
      {"an offset that overflows",
       {.file = name, .offset = HUGE_NUMBER - 3},
       RefusalCode::INVALID_VALUE},
      {"a stride that overflows",
       {.file = name, .rows = 3, .stride = HUGE_NUMBER / 2},
       RefusalCode::INVALID_VALUE},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(codeOf(files, c.wanted), c.code);
  }
  EXPECT_EQ(codeOf(files, {.file = name, .offset = size - 64, .rows = 2, .stride = 48}),
            RefusalCode{});
  EXPECT_EQ(codeOf(files, {.file = "config.json"}), RefusalCode{});
}

TEST_F(WeightServerTest, tellsWhichTextsThereAre) {
  SampleModel::write(model_.folder / "secret", "not for others");
  dial();
  Files files = openModel();
  auto sizeOf = [&](const char* name) {
    auto request = files.textSizeRequest();
    request.setName(name);
    auto found = within(request.send().then([](auto&& answer) { return kj::mv(answer); }));
    return found.getFound() ? static_cast<int64_t>(found.getSizeBytes()) : -1;
  };
  EXPECT_EQ(sizeOf("config.json"),
            static_cast<int64_t>(SampleModel::read(model_.folder / "config.json").size()));
  EXPECT_EQ(sizeOf("tokenizer.json"), -1);
  EXPECT_EQ(sizeOf("secret"), -1);
}

TEST_F(WeightServerTest, aReaderHasAFewReadsAtATime) {
  dial();
  Files files = openModel();
  // Slow ones: 65536 runs each.
  Wanted slow{.file = manifest().files[0].name, .rows = WEIGHT_PIECE_MAX / 16};
  std::vector<kj::Promise<Answer>> reads;
  for (uint32_t i = 0; i < 4 * WEIGHT_READS_MAX; ++i) reads.push_back(read(files, slow));
  uint32_t given = 0;
  uint32_t refused = 0;
  for (auto& one : reads) {
    KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { within(kj::mv(one)); })) {
      EXPECT_THAT(why->getDescription().cStr(), HasSubstr("E0703"));
      refused++;
    } else {
      given++;
    }
  }
  EXPECT_GE(given, WEIGHT_READS_MAX);
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(codeOf(files, slow), RefusalCode{}) << "there is room again";
}

TEST_F(WeightServerTest, aNodeHasAFewReadersAtATime) {
  dial();
  std::vector<Files> readers;
  for (uint32_t i = 0; i < WEIGHT_READERS_MAX; ++i) readers.push_back(openModel());
  EXPECT_EQ(node_.server->readers(), WEIGHT_READERS_MAX);
  auto refused = open(model_.source(), manifest().digest);
  EXPECT_EQ(decode(refused.getRefusal()).code, RefusalCode::OVERLOADED);
  readers.clear();
  Files again = openModel();  // behind the releases on the same connection
  EXPECT_EQ(node_.server->readers(), 1u);
}

}  // namespace
}  // namespace muster::worker::weight_server_test
