"""What the gates saw is beside the release, and is found again by its hash."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from tests.engine import lab
from tests.engine.chain.conftest import Make

INDEX = "application/vnd.oci.image.index.v1+json"
REPORT = """\
mkdir -p /tmp && echo '<testsuite name="s"><testcase classname="a" name="b"/></testsuite>' > /tmp/r.xml
"""


def test_evidence_is_beside_the_image_and_fetched_from_any_clone(
    make: Make, registry: str, bare_remote: Path, tmp_path: Path
) -> None:
    """As an artifact of the image, listed with it; another clone gets the same bytes."""
    test = {"target": "test", "command": ["sh", "-c", REPORT], "report": "/tmp/r.xml"}
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
    expected = {"junit.xml", "packages.json", "sbom.cdx.json", "smoke.log"}
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
