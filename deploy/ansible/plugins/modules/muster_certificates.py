#!/usr/bin/python3
"""The certificates of one machine, issued on the controlling one; see DOCUMENTATION."""

DOCUMENTATION = """
module: muster_certificates
short_description: Issues the certificates that one machine of a Muster cluster needs
description:
  - Makes, where missing, the cluster's authority and the separate one of its ZooKeeper servers, so that no worker's
    certificate opens a door of ZooKeeper; an administrator's certificate and context file; ZooKeeper's password.
  - Issues a certificate for each group of the machine, unless there is one that is right and ends late enough.
options:
  folder: {description: Where everything lies., type: path, required: true}
  cluster: {description: Name of the cluster., type: str, required: true}
  host: {description: Name of the machine; its certificates lie in folder/host., type: str, required: true}
  address: {description: IP address of the machine., type: str, required: true}
  roles: {description: "Groups of the machine: zookeeper, coordinators, gateways, workers.", type: list, elements: str, required: true}
  coordinator: {description: Name of its coordinator., type: str}
  node: {description: Name of its worker., type: str}
  gateway: {description: Name of its gateway., type: str}
  days: {description: How long a certificate is good for., type: int, default: 397}
  renew_days: {description: Certificates that end within so many days are issued anew., type: int, default: 30}
  renew: {description: Issue all of them anew., type: bool, default: false}
  contacts: {description: RPC addresses of all coordinators; for the administrator's context., type: list, elements: str, required: true}
author: [The Muster maintainers]
"""

EXAMPLES = """
- name: Certificates of this machine
  muster_certificates:
    folder: /srv/secrets/prod
    cluster: prod
    host: m1
    address: 10.77.0.11
    roles: [zookeeper, coordinators]
    coordinator: m1
    contacts: ["10.77.0.11:7401"]
  delegate_to: localhost
"""

import datetime
import fcntl
import ipaddress
import os
import secrets

from ansible.module_utils.basic import AnsibleModule
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_YEARS = 10
CLOCKS_DIFFER = datetime.timedelta(minutes=5)


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def usage(authority):
    return x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority,
                         content_commitment=False, key_encipherment=False, data_encipherment=False,
                         key_agreement=False, encipher_only=False, decipher_only=False)


class Store:
    """Files below one folder. In check mode nothing is written, and what would be is remembered."""

    def __init__(self, folder, checking):
        self.folder, self.checking, self.changed = folder, checking, {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        if name in self.changed:
            return self.changed[name]
        try:
            with open(self.path(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, name, content, mode):
        self.changed[name] = content
        if self.checking:
            return
        os.makedirs(os.path.dirname(self.path(name)), mode=0o700, exist_ok=True)
        new = self.path(name) + ".new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
        os.replace(new, self.path(name))

    def certificate(self, name):
        pem = self.read(name + ".crt")
        return x509.load_pem_x509_certificate(pem) if pem else None

    def save(self, name, certificate, key):
        self.write(name + ".key", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()), 0o600)
        self.write(name + ".crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def builder(name, issuer, key, lifetime):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(subject(name)).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - CLOCKS_DIFFER)
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))


def authority(store, name, title):
    """The authority `name`, made when there is none. A certificate without its key is not replaced: the cluster has it."""
    certificate, key = store.certificate(name), store.read(name + ".key")
    if certificate and key:
        return certificate, serialization.load_pem_private_key(key, None)
    if certificate or key:
        raise ValueError(f"{store.path(name)}.crt and .key belong together, and one is missing: put it back")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (builder(title, subject(title), key, datetime.timedelta(days=365 * AUTHORITY_YEARS))
                   .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
                   .add_extension(usage(authority=True), True).sign(key, hashes.SHA256()))
    store.save(name, certificate, key)
    return certificate, key


def endOf(certificate):
    try:
        return certificate.not_valid_after_utc
    except AttributeError:  # before cryptography 42
        return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)


def wrong(certificate, name, names, addresses, issuer, ends):
    """Why a certificate must be issued (anew); None when it is right."""
    if certificate is None:
        return "missing"
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if certificate.subject != subject(name) or set(found.get_values_for_type(x509.DNSName)) != set(names):
        return "of another name"
    if set(map(str, found.get_values_for_type(x509.IPAddress))) != set(addresses):
        return "of another address"
    issued = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    if issued != x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest:
        return "of another authority"
    return "ends soon" if endOf(certificate) < ends else None


def issue(store, issuer, file, name, names, addresses, options):
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=options["renew_days"])
    if not options["renew"] and not wrong(store.certificate(file), name, names, addresses, issuer[0], ends):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    others = [x509.DNSName(one) for one in names] + [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    certificate = (
        builder(name, issuer[0].subject, key, datetime.timedelta(days=options["days"]))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[0].public_key()), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True).add_extension(usage(False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .add_extension(x509.SubjectAlternativeName(others), False).sign(issuer[1], hashes.SHA256()))
    store.save(file, certificate, key)
    if file.endswith("/zookeeper-server"):  # Java wants both in one file
        store.write(file + ".pem", store.read(file + ".crt") + store.read(file + ".key"), 0o600)


def administratorContext(store, options):
    contacts = ", ".join(f'"{one}"' for one in options["contacts"])
    text = (f'cluster = "{options["cluster"]}"\ncoordinators = [{contacts}]\n'
            'ca = "ca.crt"\ncertificate = "admin.crt"\nkey = "admin.key"\n').encode()
    if store.read("context.toml") != text:
        store.write("context.toml", text, 0o600)


def issueAll(store, options):
    cluster, host = options["cluster"], options["host"]
    main = authority(store, "ca", f"Muster {cluster}")
    quorum = authority(store, "zookeeper-ca", f"Muster {cluster} ZooKeeper")
    if store.read("zookeeper.digest") is None:
        store.write("zookeeper.digest", f"muster:{secrets.token_urlsafe(24)}\n".encode(), 0o600)
    issue(store, main, "admin", "admin/admin", [f"admin.{cluster}.muster", "localhost"], ["127.0.0.1", "::1"], options)
    administratorContext(store, options)
    addresses = ["127.0.0.1", "::1", options["address"]]

    def member(role, name, file):
        names = [f"{role}.{cluster}.muster", "localhost"]
        issue(store, main, f"{host}/{file}", f"{role}/{name}", names, addresses, options)

    if "coordinators" in options["roles"]:
        member("coordinator", options["coordinator"], "coordinator")
        member("admin", host, "admin")
        issue(store, quorum, f"{host}/zookeeper-client", f"client/{host}", [host], addresses, options)
    if "workers" in options["roles"]:
        member("worker", options["node"], "worker")
    if "gateways" in options["roles"]:
        member("gateway", options["gateway"], "gateway")
    if "zookeeper" in options["roles"]:
        issue(store, quorum, f"{host}/zookeeper-server", f"server/{host}", [host], addresses, options)


def main():
    text = {"type": "str"}
    module = AnsibleModule(supports_check_mode=True, argument_spec={
        "folder": {"type": "path", "required": True}, "cluster": {"type": "str", "required": True},
        "host": {"type": "str", "required": True}, "address": {"type": "str", "required": True},
        "roles": {"type": "list", "elements": "str", "required": True},
        "coordinator": text, "node": text, "gateway": text,
        "days": {"type": "int", "default": 397}, "renew_days": {"type": "int", "default": 30},
        "renew": {"type": "bool", "default": False},
        "contacts": {"type": "list", "elements": "str", "required": True}})
    store = Store(module.params["folder"], module.check_mode)
    try:
        if not module.check_mode:
            os.makedirs(store.folder, mode=0o700, exist_ok=True)
            # Many machines ask at once, and the authority is made once.
            lock = os.open(store.path(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        issueAll(store, module.params)
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(store.changed), issued=sorted(store.changed))


if __name__ == "__main__":
    main()
