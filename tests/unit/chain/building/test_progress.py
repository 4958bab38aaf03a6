"""Reading BuildKit's progress: which step runs, and whose fault an end is."""

from __future__ import annotations

import pytest

from release.chain.building.progress import parse_plain_progress, parse_step

READ = """\
#0 building with "default" instance using docker driver

#1 [internal] load remote build context
#1 DONE 0.0s
"""

PLACE = """\
Dockerfile:2
--------------------
   1 |     FROM base
   2 | >>> RUN false
--------------------
"""


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("#12 [runtime 2/4] COPY . /srv", "[runtime 2/4] COPY . /srv"),
        ("#12 [2/4] RUN true", "[2/4] RUN true"),
        ("#12 [runtime  5/11] RUN make", "[runtime 5/11] RUN make"),
        ("#12 [ 5/11] RUN make", "[5/11] RUN make"),
        ("#12 [linux/amd64 runtime  5/11] RUN make", "[linux/amd64 runtime 5/11] RUN make"),
        ("#12 [internal] load .dockerignore", ""),
        ("#12 0.213 Collecting six", ""),
        ("#12 DONE 0.4s", ""),
    ],
)
def test_a_step_is_an_instruction_of_the_dockerfile(line: str, step: str) -> None:
    """What BuildKit does for itself is no step that people wait for."""
    assert parse_step(line) == step


@pytest.mark.parametrize(
    "output",
    [
        "#1 [internal] load remote build context\n#1 ERROR: x\n",
        f"{READ}#5 [2/2] RUN true\n#5 DONE 0.1s\n#6 exporting to image\n#6 ERROR: x\n",
        f"{READ}#5 [2/2] RUN sleep 9\n#5 0.1 begun\n",
        f"{READ}#5 [2/2] RUN sleep 9\n#5 CANCELED\n",
    ],
    ids=["context", "export", "cut in the middle", "taken back"],
)
def test_what_is_not_of_the_dockerfile_may_be_built_again(output: str) -> None:
    """The engine was too slow, went away, or lost the session."""
    assert parse_plain_progress(output).is_failure_outside_dockerfile


@pytest.mark.parametrize(
    "output",
    [
        f"{READ}#5 [2/2] RUN false\n#5 ERROR: x\n",
        f"{READ}#5 [runtime  5/11] RUN false\n#5 ERROR: x\n",
        f"{READ}#5 [ 5/11] RUN false\n#5 ERROR: x\n",
        f"{READ}#5 [linux/arm64 runtime  5/11] RUN false\n#5 ERROR: x\n",
        f"{READ}#5 [2/2] RUN false\n#5 ERROR: x\n#6 [a 1/3] RUN sleep 9\n#6 CANCELED\n",
        f"{READ}#2 [internal] load metadata for x:1\n#2 ERROR: x\n{PLACE}ERROR: x\n",
        f"{READ}{PLACE}ERROR: x\n",
        f"{READ}ERROR: x\n",
        "unknown flag: --x\n",
    ],
    ids=[
        "a program",
        "of 11 steps",
        "of 11 without a name",
        "of a platform",
        "a program, and others with it",
        "a base",
        "a wrong word",
        "no such stage",
        "nothing",
    ],
)
def test_the_dockerfiles_own_failures_stand(output: str) -> None:
    """An instruction failed, a place in it is shown, or all went well and it was not possible."""
    assert not parse_plain_progress(output).is_failure_outside_dockerfile


LOST = "#2 [internal] load metadata for x:1\n#2 ERROR: x\n"


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (f"{READ}{LOST}{PLACE}ERROR: x\n", True),
        (f"{READ}{LOST}#3 [internal] load metadata for y:1\n#3 CANCELED\n{PLACE}ERROR: x\n", True),
        (f"{READ}{LOST}#5 [2/2] RUN false\n#5 ERROR: x\n{PLACE}", False),
        (f"{READ}{PLACE}ERROR: x\n", False),
        ("", False),
    ],
    ids=["one", "another was given up with it", "a program too", "a wrong word", "nothing"],
)
def test_a_base_that_could_not_be_looked_up_is_told_from_the_rest(output: str, answer: bool) -> None:
    """Its registry may have been in trouble, although BuildKit shows the place of the FROM."""
    assert parse_plain_progress(output).is_image_lookup_failure is answer


def test_a_build_has_begun_with_its_first_vertex() -> None:
    """What buildx says before that is its own."""
    assert not parse_plain_progress(
        '#0 building with "default" instance using docker driver\nERROR: no key\n'
    ).has_begun
    assert parse_plain_progress(READ).has_begun


def test_a_build_that_did_something_is_told_from_one_that_found_everything() -> None:
    """Naming the base image is no instruction that a cache could have."""
    base, step = "#3 [1/2] FROM x:1\n#3 DONE 0.0s\n", "#5 [2/2] RUN make\n#5 "
    assert not parse_plain_progress(f"{base}{step}CACHED\n").has_run_instruction
    assert parse_plain_progress(f"{base}{step}DONE 1.0s\n").has_run_instruction
    assert not parse_plain_progress(f"{base}{step}CACHED\n#5 DONE 0.1s\n").has_run_instruction, (
        "its layer was unpacked"
    )


def test_a_cache_that_was_read_is_told_from_one_that_is_not_there() -> None:
    """Only the first can make an instruction fail."""
    vertex = "#4 importing cache manifest from r.example/a:cache\n#4 "
    assert parse_plain_progress(f"{vertex}DONE 0.1s\n").has_imported_cache
    assert not parse_plain_progress(f"{vertex}ERROR: not found\n").has_imported_cache
