"""References that monitors upload: taken in by parts, inspected, and stored once however many processes offer them.

Parts wait in memory. A file wins that the configuration names; what is uploaded wins over what live rows would make.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from tenure.offers import CONFIGURED, MOST_BYTES
from tenure_agent.acquisition import configured_file, shipped, take_up
from tenure_agent.config import Config
from tenure_agent.ingest import Busy, Ingest
from tenure_agent.inspection import MALFORMED, TOO_LARGE, Unfit, inspected
from tenure_agent.memory import give_back
from tenure_agent.metrics import Metrics
from tenure_agent.reference import Reference
from tenure_agent.review import Reviewer
from tenure_agent.store import Database, references
from tenure_agent.store.catalogue import MAX_NAME, Catalogue, LimitReached, Model
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb

logger = logging.getLogger(__name__)

ROOM = MOST_BYTES  # bytes of all files that are not whole yet
IDLE = 30.0  # seconds after which one that is not continued makes room
PATIENCE = 0.3  # seconds that a call waits for the inspection: its deadline is hardly shorter
REMEMBERED = 256  # files found unfit, so that they are not sent again
TAKEN, DAMAGED = "taken", "damaged"


@dataclass(frozen=True, slots=True)
class Key:
    """One file offered for one version."""

    model: str
    version: str
    sha256: str
    size: int


@dataclass(slots=True)
class Part:
    """What has come of a file, and when."""

    content: bytearray = field(default_factory=bytearray)
    touched: float = 0.0


class Uploads:
    """
    Parameters
    ----------
    ingest
        Gives names their numbers.
    reviewer
        Told of every reference that is replaced.
    metrics
        Counts what is taken and refused.
    clock
        Wall time in microseconds since 1970 UTC.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        ingest: Ingest,
        reviewer: Reviewer,
        config: Config,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._ingest = ingest
        self._reviewer = reviewer
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._parts: dict[Key, Part] = {}
        self._taking: dict[Key, asyncio.Task[pb.ReferenceReply]] = {}
        self._unfit: OrderedDict[Key, Unfit] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()  # a large one takes memory while it is inspected

    async def stop(self) -> None:
        """What is not stored yet is offered again."""
        for task in (tasks := list(self._taking.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def offer(self, offer: pb.ReferenceOffer) -> pb.ReferenceReply:
        """Answer an offer, and keep the part that came with it.

        Raises
        ------
        Busy, StoreFull
            There is no room for more at the moment.
        """
        key = Key(offer.model, offer.version, offer.sha256.hex(), offer.size)
        try:
            _check(key)
            if key in self._unfit:
                raise self._unfit[key]
            standing = await self._database.async_read(lambda cursor: self._standing(cursor, key))
        except Unfit as unfit:
            return self._refused(key, unfit)
        if standing == CONFIGURED:
            told = "the agent's configuration names a file for it, models.*.reference.file"
            return self._refused(key, Unfit(CONFIGURED, told))
        if standing == TAKEN:
            return pb.ReferenceReply(taken=True)
        if key not in self._taking and not self._whole(key, offer):
            held = self._parts.get(key)
            return pb.ReferenceReply(wanted=0 if held is None else len(held.content))
        if key not in self._taking:
            self._begin(key, bytes(self._parts.pop(key).content))
        task = self._taking[key]
        await asyncio.wait({task}, timeout=PATIENCE)
        return task.result() if task.done() else pb.ReferenceReply(wanted=key.size)

    def _standing(self, cursor: Cursor, key: Key) -> str:
        """What holds of a version without a look at what is offered."""
        if configured_file(self._config.model(key.model).reference, key.version) is not None:
            return CONFIGURED
        model = self._catalogue.models.get(key.model)
        version = None if model is None else model.versions.get(key.version)
        if model is None or version is None:
            return ""
        return TAKEN if references.uploaded(cursor, model.number, version) == key.sha256 else ""

    def _whole(self, key: Key, offer: pb.ReferenceOffer) -> bool:
        """Keep what came, where it is what comes next; whether all is there now."""
        held, now = self._parts.get(key), asyncio.get_running_loop().time()
        if not offer.content or offer.offset != (0 if held is None else len(held.content)):
            return False  # another process was faster, or room was made of it
        for idle in [one for one, part in self._parts.items() if one != key and part.touched < now - IDLE]:
            del self._parts[idle]
        content = offer.content[: key.size - offer.offset]
        taken = sum(len(part.content) for part in self._parts.values()) + sum(one.size for one in self._taking)
        if taken and taken + len(content) > ROOM:
            raise Busy("too many references are on their way", 1000)
        part = self._parts.setdefault(key, Part())
        part.content += content
        part.touched = now
        return len(part.content) == key.size

    def _begin(self, key: Key, content: bytes) -> None:
        task = asyncio.create_task(self._take(key, content), name="reference")
        self._taking[key] = task

        def done(task: asyncio.Task[pb.ReferenceReply]) -> None:
            del self._taking[key]
            if not task.cancelled() and task.exception() is not None:
                logger.error("a reference was not stored", exc_info=task.exception())

        task.add_done_callback(done)

    async def _take(self, key: Key, content: bytes) -> pb.ReferenceReply:
        async with self._one_at_a_time:
            try:
                found, text = await asyncio.to_thread(_read, key, content)
                await self._reviewer.replace_reference(lambda: self._replace(key, found, text))
            except LimitReached as reached:
                return self._refused(key, Unfit(reached.reason, f"a limit on names is reached ({reached.reason})"))
            except Unfit as unfit:
                if unfit.reason != DAMAGED:
                    self._unfit[key] = unfit
                    while len(self._unfit) > REMEMBERED:
                        self._unfit.popitem(last=False)
                return self._refused(key, unfit)
            finally:
                await asyncio.to_thread(give_back)
        self._metrics.uploads.labels(self._metrics.known(key.model)[0], TAKEN).inc()
        told = {"model": key.model, "version": key.version, "source": found.source}
        logger.info("reference of %(model)s %(version)s: uploaded, %(source)s", told)
        return pb.ReferenceReply(taken=True)

    async def _replace(self, key: Key, found: Reference, text: str) -> tuple[Model, int]:
        """In the store; whose it is."""
        stored = await self._database.async_read(lambda cursor: self._stored(cursor, key))
        wanted = shipped(found, stored)
        document = text if wanted is found else await asyncio.to_thread(wanted.dumps)

        def store(cursor: Cursor) -> tuple[Model, int]:
            now = self._clock()
            model = self._catalogue.model(cursor, key.model, now)
            version = self._catalogue.version(cursor, model, key.version, now)
            take_up(cursor, model, version, wanted, now, document, uploaded=key.sha256)
            return model, version

        return await self._ingest.write(store)

    def _stored(self, cursor: Cursor, key: Key) -> Reference | None:
        model = self._catalogue.models.get(key.model)
        version = None if model is None else model.versions.get(key.version)
        return None if model is None or version is None else references.newest(cursor, model.number, version)

    def _refused(self, key: Key, unfit: Unfit) -> pb.ReferenceReply:
        self._metrics.uploads.labels(self._metrics.known(key.model)[0], unfit.reason).inc()
        if unfit.reason != CONFIGURED:
            told = {"model": key.model[:MAX_NAME], "version": key.version[:MAX_NAME], "why": str(unfit)}
            logger.warning("the reference of %(model)s %(version)s is refused: %(why)s", told)
        return pb.ReferenceReply(refused=unfit.reason, why=str(unfit))


def _read(key: Key, content: bytes) -> tuple[Reference, str]:
    """
    Raises
    ------
    Unfit
        Other bytes than were offered, or see `inspected`.
    """
    if hashlib.sha256(content).hexdigest() != key.sha256:
        raise Unfit(DAMAGED, "its bytes are not those that were offered; did it change meanwhile?")
    return inspected(content, key.model)


def _check(key: Key) -> None:
    """
    Raises
    ------
    Unfit
        It can be no offer, or is one of too much.
    """
    for name, what in ((key.model, "model"), (key.version, "version")):
        if not name or len(name) > MAX_NAME:
            raise Unfit(f"bad_{what}_name", f"the {what}'s name is empty, or longer than {MAX_NAME} characters")
    if len(key.sha256) != 64 or not key.size:
        raise Unfit(MALFORMED, "the offer tells no hash or no size")
    if key.size > MOST_BYTES:
        raise Unfit(TOO_LARGE, f"it is larger than {MOST_BYTES >> 20} MiB. Try: fewer columns or segments")
