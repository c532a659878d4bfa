"""Scenarios at random, all from a seed: what is there, what has been condemned, and what each actor does."""

import random
from collections.abc import Awaitable, Callable
from functools import partial

from authproxy.maintenance.gc.collector import CollectOptions
from authproxy.maintenance.gc.options import Untagged
from tests.model.collecting import GRACE_S, collect, pass_grace
from tests.model.schedule import Act, Schedule
from tests.model.twins import BucketTwin, FolderTwin
from tests.model.world import BLOBS, MANIFESTS, OTHER, REPOSITORY, World
from tests.support.registry import sha256

REPOSITORIES = (REPOSITORY, OTHER)
TAGS = ("t", "u")

# The steps of a run among which its switches, holds, crashes and jumps are: more than an actor takes.
EARLY = 300

# Runs of collectors after which nothing is left to remove: links, then bytes, each after a grace.
RUNS_TO_THE_END = 4


class RandomScenario:
    """One scenario over two repositories with few names, so that its actors meet."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(f"scenario {seed}")  # noqa: S311 - repeatable, not secret
        untagged = self._random.choice((Untagged.REMOVE, Untagged.REMOVE, Untagged.KEEP))
        trash_s = self._random.choice((0.0, GRACE_S))
        self._options = CollectOptions(GRACE_S, trash_s, untagged)
        self.said: list[str] = []  # what it is, for the report of a fault

    async def prepare(self) -> None:
        """What is there when the actors begin. What they may rely on stays in the log: tags, with what they lead to."""
        await pass_grace(self._world, 0)
        for _ in range(self._random.randint(1, 3)):
            await self._deeds("before", self._random.randint(1, 3))()
            if self._random.random() < 0.7:
                await pass_grace(self._world, self._random.choice((1, 1, 2)), self._options)
                await self._forget_untagged()

    def actors(self) -> list[Act]:
        """Three or four actors, one of which collects in most scenarios."""
        acts = [self._deeds(f"actor {number}", self._random.choice((1, 1, 2, 3))) for number in range(2)]
        for number in range(2, self._random.choice((3, 4))):
            if self._random.random() < 0.7:
                self.said.append(f"actor {number}: collects")
                acts.append(partial(collect, self._world, self._options))
            else:
                acts.append(self._deeds(f"actor {number}", self._random.choice((1, 2))))
        return acts

    async def faults_after_collecting(self) -> list[str]:
        """What tags lead to by now, and is not there any more once collectors have removed all that they may."""
        kept = []
        for repository in REPOSITORIES:
            for tag, digest in (await self._world.tags(repository)).items():
                if digest is not None and not await self._world.missing(digest, repository):
                    kept.append((repository, tag, digest))
        await pass_grace(self._world, RUNS_TO_THE_END, self._options)
        faults = []
        for repository, tag, digest in kept:
            missing = await self._world.missing(digest, repository)
            faults += [f"{repository}:{tag} after collections: {what}" for what in missing]
        return faults

    def _deeds(self, who: str, count: int) -> Act:
        world = self._world
        core = world.core()
        deeds = [self._deed(who) for _ in range(count)]

        async def act() -> None:
            for deed in deeds:
                await deed(core)
                world.schedule.now += 0.001  # one after the other, also where no actor runs

        return act

    def _deed(self, who: str) -> Callable[..., Awaitable[None]]:
        chosen, world = self._random, self._world
        repository = chosen.choice(REPOSITORIES)
        name = chosen.choice(sorted(MANIFESTS))
        digest, tag = sha256(MANIFESTS[name]), chosen.choice(TAGS)
        weights = {"push": 6, "delete tag": 2, "delete manifest": 2, "delete blob": 1, "undelete": 2}
        what = chosen.choices(list(weights), list(weights.values()))[0]
        if what == "push":
            reference = digest if chosen.random() < 0.3 else tag
            source = chosen.choice((None, *(other for other in REPOSITORIES if other != repository)))
            self.said.append(f"{who}: push {name} to {repository} as {reference}, mounting from {source}")
            return lambda core: world.push(core, name, reference, repository, source)
        if what == "delete blob":
            blob = chosen.choice(sorted(BLOBS))
            self.said.append(f"{who}: delete blob {blob} from {repository}")
            return lambda core: world.delete_blob(core, blob, repository)
        if what == "undelete" and self._options.trash_s:  # else its content goes at any time
            self.said.append(f"{who}: undelete {tag} in {repository}")
            return lambda _: world.undelete(tag, repository)
        reference = tag if what == "delete tag" else digest
        self.said.append(f"{who}: {what} {reference} ({name}) from {repository}")
        return lambda core: world.delete(core, reference, repository)

    async def _forget_untagged(self) -> None:
        """A grace has passed: what no tag leads to may have been collected."""
        there = [(repository, tags) for repository in REPOSITORIES if (tags := await self._world.tags(repository))]
        shown = {(repository, tag, digest) for repository, tags in there for tag, digest in tags.items()}
        self._world.log[:] = [
            each
            for each in self._world.log
            if each.kind == "push" and (each.repository, each.reference, each.digest) in shown
        ]


async def run_random(seed: int, twin: type[BucketTwin], *, collects_after: bool) -> list[str]:
    """Run the scenario of a seed once: what is wrong afterwards, and what it was."""
    schedule = Schedule(seed, switches=8, early=EARLY)
    driver = twin(schedule, lost_answers=0.05 if twin is not FolderTwin and seed % 3 == 0 else 0.0)
    world = World(schedule, driver)
    scenario = RandomScenario(world, seed)
    await scenario.prepare()
    await schedule.run(scenario.actors())
    faults = await world.faults()
    if collects_after:
        faults += await scenario.faults_after_collecting()
    return [*faults, *scenario.said] if faults else []
