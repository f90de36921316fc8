"""Claims of hypotheses: what is measured, what it is held against, by how much; never a bare True or False.

From the bottom up: ``claim`` is what a claim says, as values, and prints it; ``grammar`` reads one, and runs nothing;
``judging`` holds what runs measured against one claim; ``hypotheses`` puts a hypothesis together from its claims.
"""
