"""A listener who plays a stream as it comes: when the first sound can be played, and each gap."""

import dataclasses


@dataclasses.dataclass
class Listener:
    """Plays each sound as soon as it is there and the ones before are over.

    Times are seconds of one clock, `begin` that of the request. Before the first sound the listener
    waits for `prebuffer` seconds.
    """

    begin: float
    prebuffer: float = 0.0
    first: float | None = None  # seconds from the request to the first sound that can be played
    ends: float = 0.0  # time when all that has come is played
    sounds: int = 0
    longest: float = 0.0  # seconds between two sounds that came
    gaps: list[float] = dataclasses.field(default_factory=list)  # seconds of silence, each a fault
    _last: float = 0.0

    def hear(self, now: float, seconds: float) -> None:
        """A sound of this length has come."""
        if self.first is None:
            self.first = now - self.begin
            self.ends = now + self.prebuffer
        else:
            self.longest = max(self.longest, now - self._last)
            if now > self.ends:
                self.gaps.append(now - self.ends)
                self.ends = now
        self.ends += seconds
        self.sounds, self._last = self.sounds + 1, now

    def slack(self, now: float) -> float:
        """Seconds of sound that are still to be played; 0 before the first."""
        return max(0.0, self.ends - now) if self.first is not None else 0.0

    @property
    def report(self) -> str:
        """One line: first sound, sounds, gaps."""
        if self.first is None:
            return "no sound"
        wait = f", of {self.prebuffer:.2f} s waiting first" if self.prebuffer else ""
        silent = f", {sum(self.gaps):.2f} s in all" if self.gaps else ""
        return (
            f"first audio after {self.first:.2f} s; {self.sounds} sounds, at most "
            f"{self.longest:.2f} s apart; {len(self.gaps)} underruns{silent}{wait}"
        )
