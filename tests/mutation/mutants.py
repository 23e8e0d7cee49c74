"""All mutants."""

from tests.mutation.account_mutants import ACCOUNT
from tests.mutation.desk_mutants import DESK
from tests.mutation.ledger_mutants import LEDGER
from tests.mutation.limits_mutants import LIMITS
from tests.mutation.mutant import Mutant
from tests.mutation.placing_mutants import PLACING
from tests.mutation.position_mutants import POSITIONS
from tests.mutation.record_mutants import RECORD
from tests.mutation.redis_mutants import REDIS
from tests.mutation.requests_mutants import REQUESTS
from tests.mutation.venue_mutants import VENUES

MUTANTS: tuple[Mutant, ...] = (
    *(*DESK, *PLACING, *RECORD, *REDIS),
    *(*LEDGER, *ACCOUNT, *REQUESTS, *LIMITS, *POSITIONS, *VENUES),
)
