"""What theory says (Das, Gupta and Motivala, 2002, section 3.1; Gupta, Chandra and Goldszmidt, PODC 2001)."""

from __future__ import annotations


def periods_to_first_probe(members: int) -> float:
    """Returns the expected number of periods until one of the members that are left probes the one that crashed, if all
    choose at random at the beginning of each: 1 / (1 - (1 - 1/(n-1))^(n-1)), which goes to e/(e-1) = 1.58."""
    others = members - 1
    return 1 / (1 - (1 - 1 / others) ** others)


def swim_messages(loss: float, helpers: int) -> float:
    """Returns the messages that a member of SWIM causes in a period, without crashes: a ping, and an ack if that
    arrives; if either is lost, `helpers` times a request, a ping, an ack and an answer, each if the one before it
    arrives."""
    arrives = 1 - loss
    indirect = 1 + arrives + arrives**2 + arrives**3
    return 1 + arrives + (1 - arrives**2) * helpers * indirect
