"""What is not linear, asked of values that three seats hold in shares: comparisons and rounding.

Sums, norms and dot products need no word between seats. Whether a norm is within its bound,
and a score with its low bits left out, do: of them only the answer may open. Seats 0 and 1
compute it in CrypTen; seat 2, the dealer, gives them triples and hears the answer.

    link            what carries messages, and what one seat brings
    messages        numbered frames of words; nothing else is understood
    greeting        fresh keys between every two seats, for one question
    randomness      words in place of CrypTen's random numbers
    triples         what the dealer hands out, and CrypTen draws
    communicator    CrypTen's messages, as ours
    session         CrypTen with all of that in place, for as long as one question takes
    answering       what the three seats do, whatever is asked
    compare         the questions: `within` and `rounded`

*What it guarantees.* A seat that follows the protocol, whatever it then computes from what it
has seen, learns the answer and nothing else. Seats 0 and 1 see each other's shares of masked
words, which are uniform because a triple or a stream that the other does not know hides each
once; seat 2 sees the answer (`tests/privacy/mpc/test_views.py`).

*What it does not.* Seats are semi-honest: one that changes a message, or its share, changes the
answer, unnoticed; and so chooses which bit, or where a value is rounded, it and all others hear.
How often it is answered is for the caller to limit, by `Seat.before_shares`. Two seats
together know every value, as with all that is held in three components. CrypTen's own generator,
its dealer among the parties and its transport have no part in it
(`tests/attacks/test_crypten_*.py`).

CrypTen and PyTorch load when a question is asked, and in seats 0 and 1 only.
"""
