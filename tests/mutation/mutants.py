"""All mutants."""

from tests.mutation.account_mutants import ACCOUNT
from tests.mutation.desk_mutants import DESK
from tests.mutation.mutant import Mutant
from tests.mutation.placing_mutants import PLACING
from tests.mutation.redis_mutants import REDIS
from tests.mutation.venue_mutants import VENUES

MUTANTS: tuple[Mutant, ...] = (*DESK, *PLACING, *REDIS, *ACCOUNT, *VENUES)
