"""The schema of a policy file.

    version: 1
    rules:
      - name: own space
        description: Everybody signed in may do everything below their own name.
        allow: [pull, push, delete]               # or `deny:`, also of create and overwrite
        to: {signed-in: true}                     # any of users, robots, groups, claims, any-robot, anonymous, everyone
        on: {repositories: ["{user}/**"]}         # and tags: ["v*"]; omitted for catalog
        when: time < timestamp("2030-01-01T00:00:00Z")   # optional, a condition in CEL
        lifetime: 15m                             # optional, of an allow

    retention:                                    # which images are kept, see retention_schema.py
      - name: builds expire
        on: {repositories: ["team/**"]}
        keep: [{tags: ["v*"]}, {pushed-within: 30d}]

    tests:                                        # cases, see case_schema.py
      - {who: {user: alice}, what: "repository:bob/app:pull", expected: deny}

    retention-tests:                              # cases of retention, see retention_schema.py
      - {repository: team/app, images: {pr-7: {pushed: 60d}}, removed: [pr-7]}

Unknown keys are refused: a typo must never become a rule about everyone.
The reference: docs/reference/policies.md.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from authproxy.config.document.messages import conflict, validate_document
from authproxy.config.document.tree import Document
from authproxy.policy.case_schema import CaseEntry
from authproxy.policy.cases import Case
from authproxy.policy.condition import Condition
from authproxy.policy.field_types import (
    AtLeastOne,
    Entry,
    Flag,
    Globs,
    Lifetime,
    Line,
    Names,
    Prose,
    TagGlobs,
    not_empty,
    one_text,
)
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
from authproxy.policy.retention import RetentionRule
from authproxy.policy.retention_cases import RetentionCase
from authproxy.policy.retention_schema import RetentionCaseEntry, RetentionEntry


def _not_hidden(value: object) -> object:
    if value in HIDDEN_ACTIONS:
        raise ValueError(f"push includes it; allowed: deny: [{value}] for callers who must not do it")
    return value


Allowed: TypeAlias = Annotated[
    tuple[Annotated[Literal["pull", "push", "delete", "catalog", "*"], BeforeValidator(_not_hidden)], ...],
    AfterValidator(not_empty),
    AtLeastOne,
]
Denied: TypeAlias = Annotated[
    tuple[Literal["pull", "push", "delete", "create", "overwrite", "catalog", "*"], ...],
    AfterValidator(not_empty),
    AtLeastOne,
]


def _parsed_condition(value: object) -> Condition:
    return Condition.parse(one_text(value).strip())


When: TypeAlias = Annotated[Condition, PlainValidator(_parsed_condition, json_schema_input_type=str)]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The content of one file."""

    rules: tuple[Rule, ...]
    cases: tuple[Case, ...] = ()
    retention: tuple[RetentionRule, ...] = ()
    retention_cases: tuple[RetentionCase, ...] = ()


def parse_policy(document: Document) -> PolicyFile:
    """The rules, entries of retention and cases of one file, in order. Raises DocumentError with a line per fault."""
    entry = validate_document(document, FileEntry)
    return PolicyFile(
        tuple(rule.to_rule(document.name, document.line_of(("rules", i))) for i, rule in enumerate(entry.rules)),
        tuple(case.to_case(document.name, document.line_of(("tests", i))) for i, case in enumerate(entry.tests)),
        tuple(rule.to_rule(document, i) for i, rule in enumerate(entry.retention)),
        tuple(
            case.to_case(document.name, document.line_of(("retention-tests", i)))
            for i, case in enumerate(entry.retention_tests)
        ),
    )


def _one_claim(values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    # With two keys, one reader would understand "both", another "either".
    if len(values) != 1:
        raise ValueError(f"{len(values)} claims; allowed: one claim with its values")
    return values


Claim: TypeAlias = Annotated[
    dict[Line, Names],
    AfterValidator(_one_claim),
    Field(json_schema_extra={"minProperties": 1, "maxProperties": 1}),
]


class SubjectsEntry(Entry):
    """The callers that a rule is about: those to whom any of these applies. At least one is needed."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    users: Names = ()
    """Names, exactly as the users sign in; a robot is a user too."""
    robots: Names = ()
    """The same, only for robots: accounts that the identity source marks as machines'."""
    groups: Names = ()
    """Names of groups, exactly as in the identity source."""
    claims: Claim | None = None
    """One claim and its values: callers for whom the identity source has one of these."""
    anonymous: Flag = False
    """Callers who sent no credentials."""
    any_robot: Flag = Field(default=False, alias="any-robot")
    """All robots."""
    signed_in: Flag = Field(default=False, alias="signed-in")
    """All callers who signed in, including robots."""
    everyone: Flag = False
    """All callers, signed in or not."""

    @model_validator(mode="after")
    def _check_subjects(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(
                "this matches no caller; allowed: one or more of users, robots, groups, claims, anonymous, any-robot,"
                " signed-in, everyone"
            )
        return self

    def to_subjects(self) -> Subjects:
        """The frozen value for decisions."""
        flags = (
            (ANONYMOUS, self.anonymous),
            (ANY_ROBOT, self.any_robot),
            (SIGNED_IN, self.signed_in),
            (EVERYONE, self.everyone),
        )
        users = (SubjectKey("user", name) for name in self.users)
        robots = (SubjectKey("robot", name) for name in self.robots)
        groups = (SubjectKey("group", name) for name in self.groups)
        claims = (SubjectKey("claim", value, name) for name, values in (self.claims or {}).items() for value in values)
        return Subjects(frozenset([*users, *robots, *groups, *claims, *(key for key, is_meant in flags if is_meant)]))


class ResourcesEntry(Entry):
    """The resources of a rule."""

    repositories: Globs
    """Globs over repository names, of which one must match; "**" is all of them."""
    tags: TagGlobs = ()
    """Globs over tags, of which one must match if a request has a tag. Absent: with any tag or none."""


class RuleEntry(Entry):
    """One rule: it allows or denies some actions, to some callers, on some repositories."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["allow"]}, {"required": ["deny"]}]})

    name: Line
    """The name of the rule in `policy explain` and in the log; unique in all files."""
    description: Prose = ""
    """The purpose of the rule, for its readers and for callers to whom it denies something."""
    allow: Allowed = ()
    """Actions: pull, push, delete, "*" for these three, or catalog alone. Each rule has either allow or deny."""
    deny: Denied = ()
    """The same, denied: it overrides every allow. Also create (the first write to a repository that does not exist) and
    overwrite (moving an existing tag to another manifest), which push includes."""
    to: SubjectsEntry
    """The callers that the rule is about."""
    on: ResourcesEntry | None = None
    """The repositories that it is about. Needed for every action but catalog, which has none."""
    when: When | None = None
    """A condition in CEL, over caller, request, resource and time: the rule applies only if it is true."""
    lifetime: Lifetime | None = None
    """Of an allow: the longest lifetime of a token for its actions, as a duration such as 15m; at least 1m."""

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        if bool(self.allow) == bool(self.deny):
            raise ValueError("a rule allows or denies; allowed: exactly one of allow and deny")
        if self.deny and self.lifetime is not None:
            raise ValueError("a deny issues no token; allowed: lifetime in a rule with allow")
        actions: tuple[str, ...] = self.allow or self.deny
        if "catalog" not in actions:
            if self.on is None:
                raise ValueError('it names no repositories; allowed: on: {repositories: [globs]}, where "**" is all')
        elif set(actions) != {"catalog"}:
            raise ValueError("catalog is among other actions; allowed: catalog in a rule of its own, without `on`")
        elif self.on is not None:
            raise ValueError("the catalog is not one of the repositories; allowed: leave `on` out")
        if "create" in actions and self.on is not None and self.on.tags:
            raise ValueError("a repository is created before it has tags; allowed: create in a rule without tags")
        return self

    def to_rule(self, file: str, line: int) -> Rule:
        """The frozen value for decisions."""
        actions: tuple[str, ...] = self.allow or self.deny
        return Rule(
            name=self.name,
            description=self.description,
            effect=Effect.ALLOW if self.allow else Effect.DENY,
            actions=frozenset(
                action for name in actions for action in (REPOSITORY_ACTIONS if name == "*" else (Action(name),))
            ),
            subjects=self.to.to_subjects(),
            resources=Resources(self.on.repositories, self.on.tags) if self.on else Resources(),
            file=file,
            line=line,
            condition=self.when,
            lifetime_s=None if self.lifetime is None else int(self.lifetime.total_seconds()),
        )


class FileEntry(Entry):
    """One policy file."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["rules"]}, {"required": ["retention"]}]})

    version: Annotated[Literal["1"], WithJsonSchema({"enum": [1, "1"]})]
    """The version of this language: 1."""
    rules: Annotated[tuple[RuleEntry, ...], AfterValidator(not_empty), AtLeastOne] = ()
    """The rules, in any order. Needed in a file without retention."""
    retention: Annotated[tuple[RetentionEntry, ...], AfterValidator(not_empty), AtLeastOne] = ()
    """Which images are kept, and which are removed. Without it all images stay."""
    tests: tuple[CaseEntry, ...] = ()
    """Cases: the decisions that the rules of all files together must make. `authproxy policy test` runs them."""
    retention_tests: tuple[RetentionCaseEntry, ...] = Field(default=(), alias="retention-tests")
    """Cases of retention: which images the entries of all files together must remove."""

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        if not self.rules and not self.retention:
            raise conflict("missing, as is retention; allowed: one of them, or both", ("rules",))
        return self
