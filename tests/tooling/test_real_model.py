import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "try_real_model.py"


def test_a_conversation_with_a_real_model_is_as_the_contract_says(sqlite_server, real_model):
    command = [sys.executable, str(SCRIPT), "--server", sqlite_server.base_url]
    command += ["--base-url", real_model.base_url, "--model", real_model.name]

    tried = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert tried.returncode == 0, tried.stdout[-2000:] + tried.stderr
    assert "the model was idle" in tried.stdout
    assert tried.stdout.count("first token after") == 3
    assert "eyJ" not in tried.stdout, "a token was printed"
