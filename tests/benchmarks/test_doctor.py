"""The doctor examines by doing: on a machine that runs these tests it finds nothing missing, and notices what is."""

import json

from typer.testing import CliRunner

from benchmarks import doctor
from sonosphere import app


def test_this_machine_is_healthy():
    result = doctor.examine()
    assert result["healthy"], result["findings"]
    assert {"GPU", "DALI JPEG decode", "spectrogram kernel", "video and sound codecs"} <= {f["what"] for f in result["findings"]}


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken() -> list[doctor.Finding]:
        """Something needed. It is not there."""
        raise ImportError("no module named something")

    monkeypatch.setattr(doctor, "_CHECKS", (broken,))
    result = doctor.examine()
    assert not result["healthy"]
    assert result["findings"] == [
        {"what": "Something needed", "verdict": "missing", "detail": "ImportError: no module named something"}
    ]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1


def test_json_on_standard_output():
    result = CliRunner().invoke(app, ["doctor", "--json", "-"])
    assert result.exit_code == 0 and json.loads(result.stdout)["healthy"]
