"""The key frames of a video of any length: which packets wait, and in what order they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class KeyPackets:
    """Key frames' packets, thinned by doubling the stride: spread evenly, and bounded in memory."""

    def __init__(self, most: int, most_bytes: int) -> None:
        """Hold at most 2 * `most` packets and about `most_bytes` bytes."""
        self.packets: list[Any] = []
        self.end_seconds = 0.0
        self.widest_gap = 0.0
        """Longest time without a key frame, in seconds, the end of the video included."""
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._seen = 0
        self._stride = 1
        self._last_key = 0.0

    def take(self, packet: Any) -> None:
        """Note how far the video goes, and keep the packet if it is a key frame and its turn."""
        self.end_seconds = max(self.end_seconds, end_seconds(packet))
        self.widest_gap = max(self.widest_gap, self.end_seconds - self._last_key)
        if not packet.is_keyframe or not packet.size:
            return
        self._last_key = start_seconds(packet)
        if self._seen % self._stride == 0:
            self.packets.append(packet)
            self._bytes += packet.size
        self._seen += 1
        while len(self.packets) > 1 and self._is_full():
            self.packets = self.packets[::2]
            self._bytes = sum(kept.size for kept in self.packets)
            self._stride *= 2

    def share_until_next(self, packet: Any) -> float:
        """Return how far through the video the key frame after `packet` is, 0..1."""
        at = start_seconds(packet)
        later = (start for start in map(start_seconds, self.packets) if start > at)
        return min(1.0, next(later, self.end_seconds) / max(self.end_seconds, 1e-9))

    def _is_full(self) -> bool:
        return len(self.packets) > 2 * self._most or self._bytes > self._most_bytes


def start_seconds(packet: Any) -> float:
    """Return where a packet's picture is shown, in seconds from the start of its stream."""
    if packet.pts is None:
        return 0.0
    start = packet.stream.start_time or 0
    return max(0.0, float((packet.pts - start) * packet.time_base))


def end_seconds(packet: Any) -> float:
    """Return where a packet's picture is no longer shown; 0 without a time stamp."""
    if packet.pts is None:
        return 0.0
    return start_seconds(packet) + float((packet.duration or 0) * packet.time_base)


def spread(count: int) -> Iterator[int]:
    """Yield 0 .. count - 1 so that whatever a part of them it is, they are spread evenly.

    The bits of each number reversed: the middle, the quarters, the eighths, ...
    (van der Corput 1935).
    """
    bits = max(count - 1, 1).bit_length()
    for number in range(1 << bits):
        place = int(f"{number:0{bits}b}"[::-1], 2)
        if place < count:
            yield place
