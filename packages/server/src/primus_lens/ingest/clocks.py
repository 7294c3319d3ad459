"""What a job's clock says, by the server's clock: to tell what is newest, for nothing else.

Pure; for admission and transaction. Points keep the times their job gave them.
"""

SLACK_S = 60.0
"""Within this a clock is believed: a request takes less, and so do clocks that are looked after."""


def behind_s(sent: float | None, *, now: float) -> float:
    """By how much a sender's clock is behind ours, seconds; 0 where it is believed.

    sent: what that clock said when the request left, None if it is not known.
    """
    if sent is None or abs(now - sent) <= SLACK_S:
        return 0.0
    return now - sent


def by_ours(at: float, *, behind_s: float, now: float) -> float:
    """A time by our clock, Unix seconds; nothing is still to come by more than the slack."""
    return min(at + behind_s, now + SLACK_S)
