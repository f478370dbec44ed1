// Certificates of a cluster: a small authority for development and single machines, and what can be
// read from any certificate. EC P-256 keys, X.509 version 3. Blocks while it reads and writes
// files.
#pragma once

#include "base/ids.h"
#include "base/tls_transport.h"
#include "base/transport.h"
#include "base/units.h"

#include <string>
#include <vector>

namespace muster {

// The authority's files in `folder`: ca.crt (0644) and ca.key (0600). Throws when one of them
// exists already: a second authority would lock everybody out. `folder` must exist.
void createCa(const std::string& folder, const ClusterName& cluster);

struct CertificateRequest {
  PeerIdentity identity;
  ClusterName cluster;
  std::vector<std::string> ipAddresses;  // beside 127.0.0.1 and ::1, for browsers and scripts
  Duration notBefore{-300'000'000'000};  // from now; a little past, as clocks differ
  Duration notAfter{365 * 86'400'000'000'000};
};

// Writes FOLDER/ROLE-NAME.crt (0644) and .key (0600), signed by the authority in `caFolder`,
// replacing older ones, and copies nothing: the result's `ca` points into `caFolder`. Good for
// servers and clients alike; carries CN "role/name" and the DNS names ROLE.CLUSTER.muster and
// localhost.
TlsFiles issueCertificate(const std::string& caFolder, const CertificateRequest& request,
                          const std::string& folder);

struct CertificateFacts {
  std::string commonName;
  std::vector<std::string> dnsNames;
  std::vector<std::string> ipAddresses;
  WallTime notBefore;
  WallTime notAfter;
};

// Of the first certificate in a PEM file or text. Verifies nothing. Throws FAILED when there is
// none.
CertificateFacts readCertificate(const std::string& path);
CertificateFacts parseCertificate(const std::string& pem);

}  // namespace muster
