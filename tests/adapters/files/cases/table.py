"""All cases, by their ids."""

from tests.adapters.files.cases.case import Case
from tests.adapters.files.cases.contents import CONTENTS
from tests.adapters.files.cases.paths import PATHS
from tests.adapters.files.cases.secrets import SECRETS

CASES: dict[str, Case] = {case.id: case for case in (*PATHS, *CONTENTS, *SECRETS)}
