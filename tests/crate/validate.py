"""Validates a crate with a validator that is not ours (PyPI `roc-validator`), without a network.

    validate.py CRATE.zip

RO-Crate 1.2 for the crate and for the crate of queries inside it, and the Workflow RO-Crate profile for the latter, as the validator
carries them. The Five Safes profile is in no released validator: its demands ("MUST" in https://w3id.org/5s-crate/0.4) are
checked here. Prints JSON: what is wrong with the crate as it is, by profile, and what more is wrong with copies that were
broken on purpose.
"""

import copy
import io
import json
import pathlib
import re
import shutil
import sys
import tempfile
import zipfile

import requests
import requests_cache
import urllib3
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings

CONTEXT = pathlib.Path(sys.prefix) / "node_modules/ro-crate/lib/context.json"
PROFILE = "https://w3id.org/5s-crate/0.4"
WORKFLOW = "https://w3id.org/workflowhub/workflow-ro-crate/"
SHP = "https://w3id.org/shp#"
CRATE, WORKFLOW_CRATE, FIVE_SAFES = "ro-crate-1.2", "workflow-ro-crate-1.0", "five-safes"
# The workflow profile stands on RO-Crate 1.1, and would have the crate call itself so.
OLDER = ["ro-crate-1.1_5.3"]
STATUS = re.compile(r"http://schema\.org/(Potential|Active|Completed|Failed)ActionStatus")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class OnDisk(requests.adapters.BaseAdapter):
    """Serves the one document that a validator may ask for."""

    def __init__(self, url: str, body: bytes) -> None:
        super().__init__()
        self.url, self.body = url, body

    def send(self, request, **_):
        assert request.url == self.url, f"the network is asked for {request.url}"
        headers = {"content-type": "application/ld+json"}
        answer = urllib3.HTTPResponse(io.BytesIO(self.body), headers, 200, preload_content=False)
        return requests.adapters.HTTPAdapter().build_response(request, answer)

    def close(self) -> None:
        pass


def offline(folder: pathlib.Path) -> pathlib.Path:
    """A cache of the validator that has RO-Crate's context."""
    body = CONTEXT.read_bytes()
    url = json.loads(body)["@id"]
    assert url == "https://w3id.org/ro/crate/1.2/context", url
    cache = folder / "http"
    session = requests_cache.CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1)
    session.mount("https://", OnDisk(url, body))
    session.get(url).raise_for_status()
    session.close()
    return cache


def validated(data: pathlib.Path, profile: str, cache: pathlib.Path) -> list[str]:
    settings = ValidationSettings(
        rocrate_uri=str(data),
        profile_identifier=profile,
        requirement_severity=Severity.REQUIRED,
        skip_checks=OLDER if profile == WORKFLOW_CRATE else [],
        offline=True,
        cache_path=cache,
    )
    result = services.validate(settings)
    said = [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues(Severity.REQUIRED)]
    assert result.passed() == (not said), said
    return said


def many(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def five_safes(metadata: dict) -> list[str]:
    """What the profile demands of a crate with results, and is not so."""
    all_of = {entity["@id"]: entity for entity in metadata["@graph"]}
    wrong: list[str] = []

    def must(holds: object, what: str) -> None:
        if not holds:
            wrong.append(f"five-safes: {what}")

    def linked(entity: dict, name: str) -> list[dict]:
        return [all_of[value["@id"]] for value in many(entity.get(name)) if isinstance(value, dict) and value.get("@id") in all_of]

    def typed(entities: list[dict], *kinds: str) -> bool:
        return bool(entities) and all(set(many(entity.get("@type"))) & set(kinds) for entity in entities)

    must(any(re.match(r"https://w3id\.org/ro/crate/1\.[2-9]", str(one)) for one in many(metadata["@context"])), "context of RO-Crate 1.2")
    root = all_of.get("./", {})
    must({"@id": PROFILE} in many(root.get("conformsTo")), "the root conforms to the profile")
    work = linked(root, "mainEntity")
    must(len(work) == 1 and typed(work, "Dataset"), "one main entity, a Dataset")
    to = [one["@id"] for entity in work for one in many(entity.get("conformsTo"))]
    must(len(to) == 1 and to[0].startswith(WORKFLOW), "the main entity conforms to Workflow RO-Crate alone")
    projects = linked(root, "sourceOrganization")
    must(typed(projects, "Project"), "the root's source organisation is a Project")
    must(all(typed(linked(project, "member"), "Organization", "Person") for project in projects), "a project's members are described")
    mentioned = linked(root, "mentions")
    runs = [entity for entity in mentioned if "CreateAction" in many(entity.get("@type"))]
    must(runs, "the root mentions the run")
    for run in runs:
        must(run.get("instrument") == root.get("mainEntity"), "the run's instrument is the main entity")
        must(len(run.get("name", "")) >= 10, "the run has a name")
        agents = linked(run, "agent")
        must(typed(agents, "Person"), "the run's agent is a person")
        must(all(typed(linked(agent, "affiliation"), "Organization") for agent in agents), "who has an affiliation")
        must(all(set(map(str, linked(agent, "memberOf"))) & set(map(str, projects)) for agent in agents), "and is in the project")
        must(len(linked(run, "object")) == len(many(run.get("object"))), "what the run read is described")
        must(typed(linked(run, "result"), "File"), "what it gave is described")
    actions = [entity for entity in all_of.values() if {"AssessAction", "CreateAction"} & set(many(entity.get("@type")))]
    kinds = set()
    for action in actions:
        name = action["@id"]
        must(action in mentioned, f"{name} is mentioned")
        must(STATUS.fullmatch(str(action.get("actionStatus"))), f"{name} has a status")
        must(len(action.get("name", "")) >= 10, f"{name} has a name")
        must(TIME.fullmatch(str(action.get("endTime"))), f"{name} has an end")
        kinds |= {one.get("@id") if isinstance(one, dict) else one for one in many(action.get("additionalType"))}
    for kind in ["CheckValue", "SignOff", "DisclosureCheck"]:
        must(SHP + kind in kinds, f"there is a {kind}")
    return wrong


def found(data: pathlib.Path, cache: pathlib.Path, by: str) -> list[str]:
    inner = data / "workflow"
    match by:
        case "ro-crate-1.2":
            return validated(data, by, cache) + validated(inner, by, cache)
        case "workflow-ro-crate-1.0":
            return validated(inner, by, cache)
        case _:
            return five_safes(json.loads((data / "ro-crate-metadata.json").read_text()))


def without(name: str, key: str):
    def change(metadata: dict) -> None:
        [entity] = [entity for entity in metadata["@graph"] if entity["@id"] == name]
        del entity[key]

    return change


def changed(of: str, change) -> object:
    def apply(data: pathlib.Path) -> None:
        path = data / of
        metadata = copy.deepcopy(json.loads(path.read_text()))
        change(metadata)
        path.write_text(json.dumps(metadata))

    return apply


ROOT, INNER = "ro-crate-metadata.json", "workflow/ro-crate-metadata.json"
# What is broken, and which of the profiles has to say so.
BROKEN = {
    "a licence that is missing": (CRATE, changed(ROOT, without("./", "license"))),
    "a file that is not there": (CRATE, lambda data: next((data / "outputs").iterdir()).unlink()),
    "a root without a date": (CRATE, changed(INNER, without("./", "datePublished"))),
    "queries in no language": (WORKFLOW_CRATE, changed(INNER, without("queries.sql", "programmingLanguage"))),
    "a project that is missing": (FIVE_SAFES, changed(ROOT, without("./", "sourceOrganization"))),
    "checks that nobody mentions": (FIVE_SAFES, changed(ROOT, without("./", "mentions"))),
    "a person of no organisation": (FIVE_SAFES, changed(ROOT, without("#submitter", "affiliation"))),
}


def main(archive: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(pathlib.Path(folder) / "bag")
        [bag] = (pathlib.Path(folder) / "bag").iterdir()
        cache = offline(pathlib.Path(folder))
        whole = {profile: found(bag / "data", cache, profile) for profile in [CRATE, WORKFLOW_CRATE, FIVE_SAFES]}
        broken = {}
        for what, (profile, breaks) in BROKEN.items():
            copied = pathlib.Path(folder) / "broken"
            shutil.copytree(bag / "data", copied)
            breaks(copied)
            broken[what] = sorted(set(found(copied, cache, profile)) - set(whole[profile]))
            shutil.rmtree(copied)
        print(json.dumps({"whole": whole, "broken": broken}))


main(sys.argv[1])
