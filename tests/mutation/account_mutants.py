"""Bugs in what is published of the account, and in what limits an order."""

from tests.mutation.mutant import Mutant

ACCOUNT: tuple[Mutant, ...] = ()
