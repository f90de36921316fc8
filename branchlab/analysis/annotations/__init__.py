"""From what flowed through lines of code to comments on them, into source text and out of it again.

From the bottom up: ``symbols`` (one size under several batches: ``B``, ``H/8``, 64), ``wording`` (what a line showed, in a
comment's words, and whether a text is such words), ``source`` (where comments of ours stand in a text; put in, taken out),
``review`` (comments that are there held against what was seen).
"""
