"""What the gates saw is beside the release, and is found again by its hash."""

from __future__ import annotations

import base64
import json
import random
import urllib.request
from pathlib import Path

from tests.engine import lab
from tests.engine.chain.conftest import Make

INDEX = "application/vnd.oci.image.index.v1+json"
REPORT = """\
mkdir -p /tmp && echo '<testsuite name="s"><testcase classname="a" name="b"/></testsuite>' > /tmp/r.xml
echo '<coverage line-rate="0.9"/>' > /tmp/c
"""


def test_evidence_is_beside_the_image_and_fetched_from_any_clone(
    make: Make, registry: str, bare_remote: Path, tmp_path: Path
) -> None:
    """As an artifact of the image, listed with it; another clone gets the same bytes."""
    test = {"target": "test", "command": ["sh", "-c", REPORT], "report": "/tmp/r.xml", "coverage": "/tmp/c"}
    service = make(
        remote=bare_remote,
        registry=f"{registry}/{lab.unique()}",
        installed={"check": "fail"},
        test=test,
    )
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    (record,) = service.records()
    evidence = record["evidence"]
    assert evidence["kept"] == "registry"
    expected = {"junit.xml", "coverage.xml", "packages.json", "sbom.cdx.json", "smoke.log"}
    assert evidence["files"].keys() == expected

    image = record["image"]
    host, _, path = image["repository"].partition("/")
    tag = image["digest"].replace(":", "-")
    request = urllib.request.Request(f"http://{host}/v2/{path}/manifests/{tag}", headers={"Accept": INDEX})
    with urllib.request.urlopen(request) as response:  # noqa: S310
        listed = json.load(response)
    assert [each["digest"] for each in listed["manifests"]] == [evidence["artifact"]]

    clone = service.clone(tmp_path / "clone")
    shown = clone.invoke("show", "0.1.0", "--evidence", "--json")
    assert shown.status == 0, shown.all
    files = {row["name"]: Path(row["path"]) for row in shown.document()}
    assert files.keys() == expected
    assert "a" in files["junit.xml"].read_text()
    assert json.loads(files["sbom.cdx.json"].read_text())["bomFormat"] == "CycloneDX"

    service.commit("feat: more", {"app.py": (service.folder / "app.py").read_text() + "\n"})
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    ran = service.invoke("diff", "0.1.0", "0.2.0", "--json")
    assert ran.status == 0, ran.all
    assert ran.document()["installed"] == []
    assert not [note for note in ran.document()["notes"] if "packages of the images" in note]


def test_a_release_is_measured_and_the_next_one_held_against_it(make: Make) -> None:
    """Time to the first answer, memory and size are in the record; too much growth stops the next release."""
    service = make()
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    (record,) = service.records()
    (measured,) = [gate["measured"] for gate in record["gates"] if gate["name"] == "smoke"]
    assert measured["image_size"] > 0
    assert measured["ready_ms"] > 0
    assert "ready after " in service.invoke("show", "0.1.0").out

    service.configure(limits={"max_size_growth": "20k", "max_size": "1g"})
    more = base64.b64encode(random.Random(1).randbytes(200_000)).decode()
    service.commit("feat: more", {"own": f"{service.name}{more}"})
    ran = service.nox("smoke")
    assert ran.status == 1, ran.all
    assert "MB, and that of 0.1.0 " in ran.err
    assert "limits.max_size_growth is 20k" in ran.err
