"""The examples of docs/referral.md: every reason why somebody was credited or not, over HTTP.

Lin and Wang are promoters; Mei buys, and asks why. Each example has a program of its own, so that
none of them knows of the others.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from members.models import Role
from referral.models import Verdict
from tests import factories
from tests.client import ORDER, REGISTER, TOUCH, Api

SAVE = """mutation ($input: ProgramInput!) {
  programSave(input: $input) { errors { code message field } } }"""
ENROLL = """mutation ($program: String!) {
  promoterEnroll(program: $program) {
    member { enrollments { id program { code } } } errors { code message field } } }"""
SUSPEND = """mutation ($id: ID!) {
  enrollmentSuspend(id: $id, reason: "left") { errors { code message field } } }"""
LINK = """mutation ($program: String!) {
  referralLinkCreate(input: { program: $program, targetUrl: "http://127.0.0.1/c/tea" }) {
    referralLink { id code } errors { code message field } } }"""
ARCHIVE = """mutation ($id: ID!) {
  referralLinkArchive(id: $id) { errors { code message field } } }"""

SHOP = "shop"
PREVIEW = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"
A_RULE = {"on": "ORDER", "asset": "CASH", "rateBps": 1000}


@dataclass(frozen=True, slots=True)
class Promoter:
    """Somebody with a link in the program of the example."""

    token: str
    link_id: str
    code: str
    enrollment_id: str


@dataclass(slots=True)
class Example:
    """What happens in one program, to customers of its own."""

    live: Api
    admin: str
    shop: str
    program: str
    orders: int = 0

    async def _tell(self, mutation: str, token: str | None = None, **variables: Any) -> Any:
        payload = await self.live.ask(mutation, token, **variables)
        assert payload["errors"] == [], payload
        return payload

    async def set_up(self, **terms: Any) -> None:
        """The program, with what is special about it."""
        plain = {"code": self.program, "name": self.program, "openTo": ["MEMBER"]}
        more = {"rules": [A_RULE], "exclusiveGroup": self.program}
        await self._tell(SAVE, self.admin, input=plain | more | terms)

    async def register(self, name: str, **more: str) -> Any:
        """A new member's session."""
        return await self._tell(REGISTER, input={"displayName": name, **more})

    async def promoter(self, token: str, program: str | None = None) -> Promoter:
        """The member as a promoter with a link."""
        program = program or self.program
        enrolled = await self._tell(ENROLL, token, program=program)
        enrollments = {
            each["program"]["code"]: each["id"] for each in enrolled["member"]["enrollments"]
        }
        link = (await self._tell(LINK, token, program=program))["referralLink"]
        return Promoter(token, link["id"], link["code"], enrollments[program])

    async def somebody(self, name: str, **more: str) -> Promoter:
        """A promoter who has just registered."""
        return await self.promoter((await self.register(name, **more))["token"])

    async def click(self, code: str, visitor: str, ago: timedelta = timedelta()) -> None:
        """A visitor's click, as a service tells of it."""
        at = (datetime.now(UTC) - ago).isoformat()
        asked = {"code": code, "visitorId": visitor, "occurredAt": at}
        await self._tell(TOUCH, self.shop, input=asked)

    async def why(self, **customer: str) -> list[str]:
        """What the customer's order is answered with when somebody asks for its explanation."""
        self.orders += 1
        order = {
            "source": SHOP,
            "externalId": f"{self.program}-{self.orders}",
            "amountMinor": 9_900,
        }
        await self._tell(ORDER, self.shop, input=order | customer)
        decided = await self.live.decided(self.shop, SHOP, order["externalId"])
        mine = [each for each in decided["explanation"] if each["detail"]]
        assert mine, "every verdict says in words what it means"
        return [each["verdict"] for each in decided["explanation"]]


async def bot(example: Example) -> list[str]:
    lin = await example.somebody("Lin")
    await example.live.click(lin.code, **{"user-agent": PREVIEW})
    preview = await example.live.http.get(f"/r/{lin.code}", headers={"user-agent": PREVIEW})
    return await example.why(visitorId=httpx.URL(preview.headers["location"]).params["vid"])


async def link_inactive(example: Example) -> list[str]:
    lin = await example.somebody("Lin")
    await example._tell(ARCHIVE, lin.token, id=lin.link_id)
    await example.click(lin.code, "mei-link-inactive")
    return await example.why(visitorId="mei-link-inactive")


async def program_closed(example: Example) -> list[str]:
    lin = await example.somebody("Lin")
    await example.click(lin.code, "mei-program-closed")
    await example.set_up(endsAt=datetime.now(UTC).isoformat())
    return await example.why(visitorId="mei-program-closed")


async def promoter_inactive(example: Example) -> list[str]:
    lin = await example.somebody("Lin")
    await example.click(lin.code, "mei-promoter-inactive")
    await example._tell(SUSPEND, example.admin, id=lin.enrollment_id)
    return await example.why(visitorId="mei-promoter-inactive")


async def self_referral(example: Example) -> list[str]:
    mei = await example.register("Mei")
    own = await example.promoter(mei["token"])
    await example.click(own.code, "mei-self-referral")
    return await example.why(visitorId="mei-self-referral", member=mei["member"]["id"])


async def own_downline(example: Example) -> list[str]:
    await example.set_up(binding="ON_REGISTRATION")
    mei = await example.register("Mei")
    hers = await example.promoter(mei["token"])
    lin = await example.somebody("Lin", referralCode=hers.code)
    await example.click(lin.code, "mei-own-downline")
    return await example.why(visitorId="mei-own-downline", member=mei["member"]["id"])


async def outside_window(example: Example) -> list[str]:
    lin = await example.somebody("Lin")
    await example.click(lin.code, "mei-outside-window", timedelta(days=30, seconds=1))
    return await example.why(visitorId="mei-outside-window")


async def not_new_customer(example: Example) -> list[str]:
    await example.set_up(newCustomersOnly=True)
    lin = await example.somebody("Lin")
    mei = (await example.register("Mei"))["member"]["id"]
    before = {"source": SHOP, "externalId": "february", "amountMinor": 1, "member": mei}
    await example._tell(ORDER, example.shop, input=before)
    await example.live.decided(example.shop, SHOP, "february")
    await example.click(lin.code, "mei-not-new-customer")
    return await example.why(visitorId="mei-not-new-customer", member=mei)


async def bound_to_other(example: Example) -> list[str]:
    await example.set_up(binding="ON_REGISTRATION")
    wang, lin = await example.somebody("Wang"), await example.somebody("Lin")
    mei = (await example.register("Mei", referralCode=wang.code))["member"]["id"]
    await example.click(lin.code, "mei-bound-to-other")
    return await example.why(visitorId="mei-bound-to-other", member=mei)


async def other_program(example: Example) -> list[str]:
    lin = await example.somebody("Lin")
    other = Example(example.live, example.admin, example.shop, f"{example.program}-2")
    await other.set_up(exclusiveGroup=example.program)
    wang = await other.somebody("Wang")
    await example.click(lin.code, "mei-other-program", timedelta(hours=1))
    await example.click(wang.code, "mei-other-program")
    return await example.why(visitorId="mei-other-program")


async def superseded(example: Example) -> list[str]:
    lin, wang = await example.somebody("Lin"), await example.somebody("Wang")
    await example.click(lin.code, "mei-superseded", timedelta(days=2))
    await example.click(wang.code, "mei-superseded", timedelta(days=1))
    return await example.why(visitorId="mei-superseded")


async def no_rule(example: Example) -> list[str]:
    await example.set_up(rules=[A_RULE | {"role": "KOC"}])
    lin = await example.somebody("Lin")
    await example.click(lin.code, "mei-no-rule")
    return await example.why(visitorId="mei-no-rule")


async def credited(example: Example) -> list[str]:
    wang = await example.somebody("Wang")
    await example.click(wang.code, "mei-credited", timedelta(days=1))
    return await example.why(visitorId="mei-credited")


EXAMPLES = {
    Verdict.BOT: (bot, {"BOT"}),
    Verdict.LINK_INACTIVE: (link_inactive, {"LINK_INACTIVE"}),
    Verdict.PROGRAM_CLOSED: (program_closed, {"PROGRAM_CLOSED"}),
    Verdict.PROMOTER_INACTIVE: (promoter_inactive, {"PROMOTER_INACTIVE"}),
    Verdict.SELF_REFERRAL: (self_referral, {"SELF_REFERRAL"}),
    Verdict.OWN_DOWNLINE: (own_downline, {"OWN_DOWNLINE"}),
    Verdict.OUTSIDE_WINDOW: (outside_window, {"OUTSIDE_WINDOW"}),
    Verdict.NOT_NEW_CUSTOMER: (not_new_customer, {"NOT_NEW_CUSTOMER"}),
    Verdict.BOUND_TO_OTHER: (bound_to_other, {"BOUND_TO_OTHER", "SUPERSEDED", "CREDITED"}),
    Verdict.OTHER_PROGRAM: (other_program, {"OTHER_PROGRAM", "CREDITED"}),
    Verdict.SUPERSEDED: (superseded, {"SUPERSEDED", "CREDITED"}),
    Verdict.NO_RULE: (no_rule, {"NO_RULE"}),
    Verdict.CREDITED: (credited, {"CREDITED"}),
}


async def test_every_reason_is_given_where_the_docs_say_it_is(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    shop = await factories.person("shop", Role.SERVICE)
    assert EXAMPLES.keys() == set(Verdict)
    for verdict, (play, said) in EXAMPLES.items():
        example = Example(live, admin.token, shop.token, verdict.lower().replace("_", "-"))
        await example.set_up()
        assert set(await play(example)) == said, verdict
