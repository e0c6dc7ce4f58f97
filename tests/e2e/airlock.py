"""Reads a crate as anybody would: BagIt's hashes with the standard library, the RO-Crate with its reference library.

    airlock.py CRATE.zip        prints what it found, as JSON
"""

import hashlib
import json
import pathlib
import sys
import tempfile
import zipfile

from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/5s-crate/0.4"


def checked(bag: pathlib.Path, manifest: str) -> int:
    lines = (bag / manifest).read_text().splitlines()
    for line in lines:
        digest, path = line.split("  ", 1)
        assert hashlib.sha512((bag / path).read_bytes()).hexdigest() == digest, path
    return len(lines)


def main(archive: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as packed:
            assert packed.testzip() is None
            packed.extractall(folder)
        [bag] = pathlib.Path(folder).iterdir()
        files = checked(bag, "manifest-sha512.txt") + checked(bag, "tagmanifest-sha512.txt")
        present = sum(path.is_file() for path in bag.rglob("*"))
        assert present == files + 2, "all but the signature and the last manifest are listed"
        data = bag / "data"
        crate = ROCrate(data)
        nested = ROCrate(data / "workflow")
        assert [part.id for part in nested.data_entities] == ["queries.sql"]
        root = crate.root_dataset
        assert root["conformsTo"].id == PROFILE, root["conformsTo"]
        assert root["sourceOrganization"].type == "Project"
        # Each entity that another one refers to by a fragment is described.
        text = json.loads((data / "ro-crate-metadata.json").read_text())
        described = {entity["@id"] for entity in text["@graph"]}
        referred: set[str] = set()

        def walk(value: object) -> None:
            if isinstance(value, dict):
                if set(value) == {"@id"}:
                    referred.add(value["@id"])
                for inner in value.values():
                    walk(inner)
            elif isinstance(value, list):
                for inner in value:
                    walk(inner)

        walk(text["@graph"])
        missing = sorted(name for name in referred - described if not name.startswith("https://"))
        assert not missing, missing
        runs = [entity for entity in root["mentions"] if entity.type == "CreateAction"]
        assert len(runs) == 1 and runs[0]["instrument"].id == root["mainEntity"].id == "workflow/"
        assert runs[0]["agent"].type == "Person"
        outputs = {part.id for part in runs[0]["result"]} if isinstance(runs[0]["result"], list) else {runs[0]["result"].id}
        for name in outputs:
            entity = crate.get(name)
            assert hashlib.sha256((data / name).read_bytes()).hexdigest() == entity["sha256"]
        checks = [entity for entity in root["mentions"] if entity.type == "AssessAction"]
        people = [check for check in checks if check.id.startswith("#disclosure-")]
        assert all(check["additionalType"] == "https://w3id.org/shp#DisclosureCheck" or check["additionalType"].id.endswith("#DisclosureCheck") for check in people)
        release = json.loads((data / "release.json").read_text())
        print(json.dumps({
            "outputs": sorted(outputs),
            "organisations": sorted(check["agent"]["name"] for check in people),
            "snapshots": sorted(release["snapshots"]),
            "queries": (data / "workflow" / "queries.sql").read_text(),
        }))


main(sys.argv[1])
