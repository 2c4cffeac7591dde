import ast
from pathlib import Path

import pytest

PROVIDERS = Path(__file__).resolve().parents[2] / "providers"
CORE = [
    *(
        PROVIDERS / f"{name}.py"
        for name in ("addresses", "base", "catalogue", "errors", "specs", "sse", "text", "transport")
    ),
    *sorted((PROVIDERS / "adapters").glob("*.py")),
]


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PROVIDERS)))
def test_the_core_of_providers_knows_no_django_but_its_translations(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)

    of_django = {name for name in imported if name.split(".")[0] == "django"}
    assert of_django <= {"django.utils.functional", "django.utils.translation"}
