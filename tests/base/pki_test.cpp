#include "base/pki.h"

#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>
#include <kj/exception.h>

#include <sys/stat.h>

namespace muster::pki_test {
namespace {

mode_t modeOf(const std::string& path) {
  struct stat status {};
  KJ_SYSCALL(stat(path.c_str(), &status), path.c_str());
  return status.st_mode & 0777;
}

TEST(Pki, certificateCarriesIdentityAndNames) {
  TemporaryFolder folder;
  createCa(folder.path(), ClusterName{"prod"});
  auto files = issueCertificate(folder.path(),
                                {.identity = {Role::COORDINATOR, "co1"},
                                 .cluster = ClusterName{"prod"},
                                 .ipAddresses = {"10.1.2.3"}},
                                folder.path());
  auto facts = readCertificate(files.certificate);
  EXPECT_EQ(facts.commonName, "coordinator/co1");
  EXPECT_EQ(facts.dnsNames, (std::vector<std::string>{"coordinator.prod.muster", "localhost"}));
  EXPECT_EQ(facts.ipAddresses, (std::vector<std::string>{"127.0.0.1", "::1", "10.1.2.3"}));
  EXPECT_NEAR(static_cast<double>(facts.notAfter.unixMs - facts.notBefore.unixMs) / 86'400'000, 365,
              0.1);
}

TEST(Pki, keysAreForTheirOwnerOnly) {
  TemporaryFolder folder;
  createCa(folder.path(), ClusterName{"prod"});
  auto files = issueCertificate(folder.path(),
                                {.identity = {Role::WORKER, "w1"}, .cluster = ClusterName{"prod"}},
                                folder.path());
  EXPECT_EQ(modeOf(folder / "ca.key"), 0600u);
  EXPECT_EQ(modeOf(files.key), 0600u);
  EXPECT_EQ(modeOf(files.certificate), 0644u);
}

TEST(Pki, secondAuthorityInOneFolderIsRefused) {
  TemporaryFolder folder;
  createCa(folder.path(), ClusterName{"prod"});
  auto before = contentOf(folder / "ca.crt");
  auto exception = kj::runCatchingExceptions([&] { createCa(folder.path(), ClusterName{"prod"}); });
  EXPECT_TRUE(exception != nullptr);
  EXPECT_EQ(contentOf(folder / "ca.crt"), before);
}

TEST(Pki, textWithoutCertificateIsRefused) {
  auto exception = kj::runCatchingExceptions([] { parseCertificate("hello"); });
  EXPECT_TRUE(exception != nullptr);
}

}  // namespace
}  // namespace muster::pki_test
