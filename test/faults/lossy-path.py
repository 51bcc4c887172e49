"""lossy-path.py NAMESPACE DEVICE NEAR FAR DELAY_MS JITTER_MS LOSS_PERCENT

A path between this network namespace and another one, for Linux as root: two tun devices of the same name, NEAR (an address
with its prefix) here and FAR in NAMESPACE, and every packet between them late by DELAY_MS give or take JITTER_MS, never
overtaken, and lost by chance. Prints "ready"; runs until it is ended, and its devices with it.
"""

import collections
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_HEADER = 0x0001 | 0x1000

# What a router would let wait on its longest queue; beyond it packets are lost as they are there.
MAX_QUEUED = 2_000


def enter(descriptor):
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def open_device(name, address):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_WITHOUT_HEADER))
    subprocess.check_call(["ip", "addr", "add", address, "dev", name])
    subprocess.check_call(["ip", "link", "set", name, "mtu", "1500", "up"])
    return device


class Direction:
    """Packets on their way from one device to the other, in order."""

    def __init__(self, source, target, delay, jitter, loss):
        self.source, self.target = source, target
        self.delay, self.jitter, self.loss = delay, jitter, loss
        self.waiting = collections.deque()
        self.last = 0.0

    def take(self, now):
        while True:
            try:
                packet = os.read(self.source, 2_048)
            except BlockingIOError:
                return
            if random.random() < self.loss or len(self.waiting) >= MAX_QUEUED:
                continue
            self.last = max(self.last, now + self.delay + random.uniform(-self.jitter, self.jitter))
            self.waiting.append((self.last, packet))

    def give(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            try:
                os.write(self.target, self.waiting.popleft()[1])
            except BlockingIOError:
                pass


namespace, name, near, far = sys.argv[1:5]
delay, jitter, loss = (float(argument) for argument in sys.argv[5:8])

here = os.open("/proc/self/ns/net", os.O_RDONLY)
there = os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
near_device = open_device(name, near)
enter(there)
far_device = open_device(name, far)
subprocess.check_call(["ip", "link", "set", "lo", "up"])
enter(here)

how = (delay / 1e3, jitter / 1e3, loss / 100)
ways = [Direction(near_device, far_device, *how), Direction(far_device, near_device, *how)]
print("ready", flush=True)
while True:
    now = time.monotonic()
    for way in ways:
        way.give(now)
    due = min((way.waiting[0][0] for way in ways if way.waiting), default=now + 1)
    readable, _, _ = select.select([near_device, far_device], [], [], max(0, due - now))
    for way in ways:
        if way.source in readable:
            way.take(time.monotonic())
