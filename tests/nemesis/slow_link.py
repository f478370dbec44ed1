#!/usr/bin/python3
"""Delays every packet that leaves this host, without touching its connections; ends when its stdin does.

Usage, inside the host's namespace: slow_link.py DELAY_MS JITTER_MS SEED

The route of the network leads into a tun device for as long as this runs. What comes out of the device is kept for the
delay and then put on the wire behind the ordinary route, which knows nothing of it. Packets stay in order.
"""
import collections
import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

from hosts import NETWORK, macOf

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NAME = "slow0"
PACKET_MAX = 65536


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def openTun():
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", NAME.encode(), IFF_TUN | IFF_NO_PI))
    ip("link", "set", NAME, "mtu", "1500", "up")
    return device


def openWire():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    wire.bind(("eth0", 0x0800))
    return wire


def send(wire, packet):
    target = socket.inet_ntoa(packet[16:20])
    hardware = bytes(int(part, 16) for part in macOf(target).split(":"))
    try:
        wire.sendto(packet, ("eth0", 0x0800, 0, 0, hardware))
    except OSError:
        pass  # a full queue loses packets, as wires do


def relay(device, wire, delay, jitter, chance):
    waiting = collections.deque()  # (when, packet)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            send(wire, waiting.popleft()[1])
        patience = waiting[0][0] - now if waiting else None
        ready, _, _ = select.select([device, sys.stdin], [], [], patience)
        if sys.stdin in ready:
            return
        while device in ready:
            try:
                packet = os.read(device, PACKET_MAX)
            except BlockingIOError:
                break
            if packet[0] >> 4 == 4:
                waiting.append((time.monotonic() + delay + chance.uniform(0, jitter), packet))


def main(delay, jitter, seed):
    device, wire = openTun(), openWire()
    ip("route", "replace", str(NETWORK), "dev", NAME, "src", ownAddress())
    print("ready", flush=True)
    try:
        relay(device, wire, delay / 1000, jitter / 1000, random.Random(seed))
    finally:
        ip("route", "replace", str(NETWORK), "dev", "eth0", "src", ownAddress())


def ownAddress():
    text = subprocess.run(["ip", "-o", "-4", "addr", "show", "dev", "eth0"], check=True, capture_output=True, text=True)
    return text.stdout.split()[3].split("/")[0]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
