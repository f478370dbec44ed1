// Slices from another node's files: the same as from our own, and never wrong ones.
#include "worker/engine/native/peer_load.h"

#include "tests/worker/lying_node.h"
#include "tests/worker/weight_fixture.h"
#include "worker/engine/native/slice_load.h"

#include <gmock/gmock.h>

#include <cstring>
#include <map>

namespace muster::worker::peer_load_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Loaded = Result<std::vector<LoadedSlice>>;

class PeerLoadTest : public WeightFixture {
 protected:
  ~PeerLoadTest() noexcept override {}

  PeerLoadTask task(std::vector<WeightPeer> peers, uint32_t rank = 0) {
    PeerLoadTask task{.source = model_.source(), .manifestDigest = manifest().digest};
    task.from.peers = std::move(peers);
    task.from.missing = "model folder /here cannot be opened";
    task.slices = slices(2, 2, rank);
    return task;
  }
  kj::Own<PeerLoad> begin(PeerLoadTask task, PeerLoadLimits limits = {}) {
    return kj::heap<PeerLoad>(
        *dialling_, loop_.timer(), random_, std::move(task),
        [this](const std::string& whence) { asked_.push_back(whence); }, limits);
  }
  Loaded load(PeerLoadTask task, PeerLoadLimits limits = {}) {
    auto load = begin(std::move(task), limits);
    auto loaded = within(load->loaded());
    bytes_ = load->loadedBytes();
    return loaded;
  }
  std::map<std::string, std::string> checksums(std::vector<sharding::Slice> wanted) {
    ModelRoots roots({model_.root.string()});
    auto folder = roots.openModel(model_.source());
    std::vector<SliceFile> files;
    for (const auto& file : manifest().files) {
      auto opened = roots.openFile(*folder, file.name);
      files.push_back({file.name, std::move(*opened)});
    }
    SliceLoad load(std::move(files), std::move(wanted), 1);
    std::map<std::string, std::string> found;
    auto loaded = within(load.loaded());
    for (const auto& one : *loaded) found[one.slice.tensor] = checksumText(one.checksum);
    return found;
  }
  static std::map<std::string, std::string> checksumsOf(const Loaded& loaded) {
    std::map<std::string, std::string> found;
    for (const auto& one : *loaded) found[one.slice.tensor] = checksumText(one.checksum);
    return found;
  }

  kj::Own<Transport> dialling_ = transport(Role::WORKER, "w9");
  std::vector<std::string> asked_;
  uint64_t bytes_ = 0;
};

TEST_F(PeerLoadTest, everyRankGetsWhatItWouldReadItself) {
  auto node = serve("w1");
  for (uint32_t rank = 0; rank < 4; ++rank) {
    SCOPED_TRACE(rank);
    auto wanted = slices(2, 2, rank);
    auto loaded = load(task({node.peer}, rank));
    ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
    ASSERT_EQ(loaded->size(), wanted.size());
    uint64_t bytes = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ((*loaded)[i].slice, wanted[i]);
      bytes += wanted[i].bytes;
    }
    EXPECT_EQ(checksumsOf(loaded), checksums(wanted));
    EXPECT_EQ(bytes_, bytes);
  }
}

TEST_F(PeerLoadTest, piecesMayBeOfAnySize) {
  auto node = serve("w1");
  auto wanted = checksums(slices(2, 2, 1));
  for (uint64_t pieceBytes : {1000, 64, 4096, 100'000}) {
    SCOPED_TRACE(pieceBytes);
    auto loaded = load(task({node.peer}, 1), {.pieceBytes = pieceBytes});
    ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
    EXPECT_EQ(checksumsOf(loaded), wanted);
  }
}

TEST_F(PeerLoadTest, aNodeWithoutTheModelIsPassedOver) {
  TemporaryFolder empty;
  auto without = serve("w1", empty.path());
  auto with = serve("w2");
  auto loaded = load(task({without.peer, with.peer}));
  ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
  EXPECT_THAT(asked_, ElementsAre("node w2"));
}

TEST_F(PeerLoadTest, whenANodeDiesMidwayTheNextOneGoesOn) {
  auto first = serve("w1");
  auto second = serve("w2");
  auto wanted = checksums(slices(2, 2, 0));
  auto load = begin(task({first.peer, second.peer}), {.pieceBytes = 512});
  while (load->loadedBytes() == 0) within(loop_.timer().afterDelay(10 * kj::MICROSECONDS));
  uint64_t total = 0;
  for (const auto& slice : slices(2, 2, 0)) total += slice.bytes;
  ASSERT_LT(load->loadedBytes(), total) << "it was over too soon";
  first.server = nullptr;
  auto loaded = within(load->loaded());
  ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
  EXPECT_EQ(checksumsOf(loaded), wanted);
  EXPECT_EQ(load->loadedBytes(), total) << "what was begun twice is counted once";
  EXPECT_THAT(asked_, ElementsAre("node w1", "node w2"));
}

TEST_F(PeerLoadTest, whenTheLastNodeDiesTheRefusalSaysWhoWasAsked) {
  auto only = serve("w1");
  auto load = begin(task({only.peer, {{"w3"}, "127.0.0.1:1"}}), {.pieceBytes = 512});
  while (load->loadedBytes() == 0) within(loop_.timer().afterDelay(10 * kj::MICROSECONDS));
  only.server = nullptr;
  auto loaded = within(load->loaded());
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.refusal().code, RefusalCode::MODEL_NOT_FOUND);
  EXPECT_THAT(loaded.refusal().text,
              HasSubstr("model folder /here cannot be opened; other nodes were asked: w1: "));
  EXPECT_THAT(loaded.refusal().text, HasSubstr("; w3: "));
}

TEST_F(PeerLoadTest, aFileThatHasChangedThereIsRefusedAndTheNodeNamed) {
  auto node = serve("w1");
  auto wanted = task({node.peer});
  wanted.from.checksums = checksums(wanted.slices);
  std::string tensor = wanted.slices[3].tensor;
  flip(wanted.slices[3]);
  auto loaded = load(std::move(wanted));
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.refusal().code, RefusalCode::WEIGHTS_CORRUPT);
  EXPECT_THAT(loaded.refusal().text, HasSubstr("w1: its bytes of " + tensor));
}

TEST_F(PeerLoadTest, aWrongByteIsRefusedAndTheNextNodeIsAsked) {
  auto honest = serve("w2");
  for (Lie lie : {Lie::WITH_ITS_CHECKSUM, Lie::WITHOUT}) {
    auto wanted = task({});
    auto right = checksums(wanted.slices);
    if (lie == Lie::WITH_ITS_CHECKSUM) wanted.from.checksums = right;
    LyingNode liar(loop_.timer(), transport(Role::WORKER, "w1"),
                   {wanted.slices[2].file, wanted.slices[2].offset, lie});
    WeightPeer bad{{"w1"}, within(liar.start(honest.peer.address))};

    wanted.from.peers = {bad};
    auto alone = load(wanted);
    ASSERT_FALSE(alone.ok());
    EXPECT_EQ(alone.refusal().code, RefusalCode::WEIGHTS_CORRUPT);
    EXPECT_THAT(alone.refusal().text, HasSubstr("other nodes were asked: w1: "));

    wanted.from.peers = {bad, honest.peer};
    asked_.clear();
    auto helped = load(wanted);
    ASSERT_TRUE(helped.ok()) << helped.refusal().text;
    EXPECT_EQ(checksumsOf(helped), right);
    EXPECT_THAT(asked_, ElementsAre("node w1", "node w2"));
  }
}

TEST_F(PeerLoadTest, anotherNodeThanTheOneNamedIsNotTrusted) {
  auto node = serve("w1");
  node.peer.node = {"w2"};
  auto loaded = load(task({node.peer}));
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.refusal().text, HasSubstr("w2: " + node.peer.address + " is node w1"));
}

TEST_F(PeerLoadTest, aBusyNodeIsAskedAgain) {
  auto node = serve("w1");
  auto other = transport(Role::WORKER, "w8");
  auto connection = within(connectRpc(*other, loop_.timer(), node.peer.address, Role::WORKER));
  std::vector<schema::ModelFiles::Client> readers;
  for (int i = 0; i < 8; ++i) {
    auto request = connection->bootstrap<schema::WeightGate>().openRequest();
    request.setSource(model_.source().c_str());
    request.setManifestDigest(manifest().digest.c_str());
    readers.push_back(within(request.send().then([](auto&& opened) { return opened.getFiles(); })));
  }
  auto load = begin(task({node.peer}), {.busy = {1_ms, 2_ms}});
  within(loop_.timer().afterDelay(50 * kj::MILLISECONDS));
  EXPECT_EQ(load->loadedBytes(), 0u);
  readers.clear();
  EXPECT_TRUE(within(load->loaded()).ok());
}

TEST_F(PeerLoadTest, textsComeIntoTheFolderThatIsNamed) {
  SampleModel::write(model_.folder / "tokenizer.json", std::string(3'000'000, 'x'));
  auto node = serve("w1");
  TemporaryFolder own;
  auto wanted = task({node.peer});
  wanted.textFolder = own.path() + "/model";
  auto loaded = load(std::move(wanted));
  ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
  EXPECT_EQ(SampleModel::read(own.path() + "/model/tokenizer.json"), std::string(3'000'000, 'x'));
  EXPECT_EQ(SampleModel::read(own.path() + "/model/config.json"),
            SampleModel::read(model_.folder / "config.json"));
  EXPECT_FALSE(std::filesystem::exists(own.path() + "/model/chat_template.jinja"));
}

TEST_F(PeerLoadTest, whatWasKeptIsNotAskedForAgain) {
  TemporaryFolder own;
  auto wanted = task({});
  wanted.cache = SliceCache(own.path() + "/cache", 1_GiB);
  auto right = checksums(wanted.slices);
  {
    auto node = serve("w1");
    wanted.from.peers = {node.peer};
    ASSERT_TRUE(load(wanted).ok());
    EXPECT_THAT(asked_, ElementsAre("the cache of this node", "node w1"));
  }
  asked_.clear();
  auto loaded = load(wanted);  // w1 is gone
  ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
  EXPECT_EQ(checksumsOf(loaded), right);
  EXPECT_THAT(asked_, ElementsAre("the cache of this node"));
}

TEST_F(PeerLoadTest, whatWasKeptAndIsNotWhatAReadyRankHasIsAskedForAgain) {
  TemporaryFolder own;
  auto wanted = task({});
  wanted.cache = SliceCache(own.path() + "/cache", 1_GiB);
  flip(wanted.slices[1]);
  auto node = serve("w1");
  wanted.from.peers = {node.peer};
  ASSERT_TRUE(load(wanted).ok());
  flip(wanted.slices[1]);  // as it was
  wanted.from.checksums = checksums(wanted.slices);
  asked_.clear();
  auto loaded = load(wanted);
  ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
  EXPECT_EQ(checksumsOf(loaded), wanted.from.checksums);
  EXPECT_THAT(asked_, ElementsAre("the cache of this node", "node w1"));
}

TEST_F(PeerLoadTest, destroyingALoadStopsIt) {
  auto node = serve("w1");
  auto load = begin(task({node.peer}), {.pieceBytes = 512});
  while (load->loadedBytes() == 0) within(loop_.timer().afterDelay(10 * kj::MICROSECONDS));
  load = nullptr;
  for (int i = 0; i < 4000 && node.server->readers() != 0; ++i) {
    within(loop_.timer().afterDelay(1 * kj::MILLISECONDS));
  }
  EXPECT_EQ(node.server->readers(), 0u);
}

}  // namespace
}  // namespace muster::worker::peer_load_test
