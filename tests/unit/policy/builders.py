"""Rules and callers for tests, and hypothesis strategies that make them."""

from functools import cache

from hypothesis import strategies as st

from authproxy.access import Access
from authproxy.policy.condition import Condition
from authproxy.policy.glob import Glob
from authproxy.policy.model import (
    ANONYMOUS,
    ANY_ROBOT,
    EVERYONE,
    HIDDEN_ACTIONS,
    REPOSITORY_ACTIONS,
    SIGNED_IN,
    Action,
    Effect,
    Resources,
    Rule,
    SubjectKey,
    Subjects,
)
from authproxy.policy.tags import TagGlob
from authproxy.principal import Principal


@cache
def _condition(when: str) -> Condition | None:
    return Condition.parse(when) if when else None


def make_rule(
    line: int = 1,
    *,
    effect: Effect = Effect.ALLOW,
    actions: frozenset[Action] = frozenset(REPOSITORY_ACTIONS),
    to: tuple[SubjectKey, ...] = (EVERYONE,),
    on: tuple[str, ...] = ("**",),
    tags: tuple[str, ...] = (),
    file: str = "policies/test.yaml",
    lifetime_s: int | None = None,
    when: str = "",
) -> Rule:
    resources = Resources(tuple(map(Glob.parse, on)), tuple(map(TagGlob.parse, tags)))
    return Rule(
        f"rule {line}",
        "",
        effect,
        actions,
        Subjects(frozenset(to)),
        resources,
        file,
        line,
        lifetime_s,
        _condition(when),
    )


# A small world, so that rules and questions often meet.
NAMES = ("a", "b", "team", "a-b", "a@x.org", "b@y.org")
GROUPS = ("devs", "ops", "a")
SEGMENTS = ("a", "b", "team", "a-b", "b-a", "x")
CLAIMS = ("a", "b", "a/b", "team/x", "x/", "*")
GLOB_SEGMENTS = (
    *SEGMENTS,
    *("*", "**", "a*", "*b"),
    *(
        "{user}",
        "{user}-b",
        "{user@x.org}",
        "b-{user@x.org}",
        "{group}",
        "{group}-b",
        "{claims.project}",
        "{claims.project:path}",
    ),
)

subject_keys = st.one_of(
    st.sampled_from([ANONYMOUS, SIGNED_IN, EVERYONE, ANY_ROBOT]),
    st.sampled_from(
        [
            *(SubjectKey("user", name) for name in NAMES),
            *(SubjectKey("robot", name) for name in NAMES),
            *(SubjectKey("group", name) for name in GROUPS),
            *(SubjectKey("claim", value, "project") for value in CLAIMS),
        ]
    ),
)
globs = (
    st.lists(st.sampled_from(GLOB_SEGMENTS), min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda text: text.count(":path}") <= 1)
)
repositories = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map("/".join)
principals = st.builds(
    lambda name, groups, project, is_robot: (
        Principal(name, groups, {"project": project} if project else {}, is_robot=is_robot) if name else Principal("")
    ),
    st.sampled_from(["", *NAMES, "No Path", "a/b", "*"]),
    st.frozensets(st.sampled_from(GROUPS)),
    st.one_of(st.none(), st.sampled_from(CLAIMS), st.lists(st.sampled_from(CLAIMS), max_size=3)),
    st.booleans(),
)
accesses = st.one_of(
    st.just(Access("registry", "catalog", "*")),
    st.builds(Access, st.just("repository"), repositories, st.sampled_from(["pull", "push", "delete", "*"])),
)


TAGS = ("v1", "v2", "v1-rc", "latest", "a")
tag_globs = st.sampled_from(["v*", "v1*", "*-rc", "v1", "latest", "*", "v*c"])
tags = st.one_of(st.none(), st.sampled_from(TAGS))
# What a request can be about, wherever a token would have let it in.
served_actions = st.sampled_from([*REPOSITORY_ACTIONS, *HIDDEN_ACTIONS])


CONDITIONS = (
    "identity.name == 'a'",
    "'devs' in identity.groups",
    "identity.claims.project == 'a'",
    "identity.robot",
    "false",
)


@st.composite
def rules(draw: st.DrawFn, *, conditions: tuple[str, ...] = ()) -> Rule:
    is_about_catalog = draw(st.sampled_from([False, False, True]))
    effect = draw(st.sampled_from(Effect))
    known = REPOSITORY_ACTIONS if effect is Effect.ALLOW else (*REPOSITORY_ACTIONS, *HIDDEN_ACTIONS)
    actions = draw(st.frozensets(st.sampled_from(known), min_size=1))
    may_have_tags = not is_about_catalog and Action.CREATE not in actions
    return make_rule(
        draw(st.integers(1, 10**6)),
        effect=effect,
        actions=frozenset([Action.CATALOG]) if is_about_catalog else actions,
        to=tuple(draw(st.lists(subject_keys, min_size=1, max_size=3))),
        on=() if is_about_catalog else tuple(draw(st.lists(globs, min_size=1, max_size=2))),
        tags=tuple(draw(st.lists(tag_globs, max_size=2))) if may_have_tags else (),
        file=draw(st.sampled_from(["a.yaml", "b.yaml"])),
        lifetime_s=draw(st.sampled_from([None, None, 60, 900])) if effect is Effect.ALLOW else None,
        when=draw(st.sampled_from(["", *conditions])),
    )


rule_lists = st.lists(rules(conditions=CONDITIONS), max_size=6)
unconditional_rule_lists = st.lists(rules(), max_size=6)
