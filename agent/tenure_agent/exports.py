"""Files that people asked for: written in the agent's own export directory, read from there in parts.

No path of a client's is ever opened here: who asks gets a name, reads the parts, and writes its own file.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from tenure.errors import TenureError
from tenure_agent.archive import names
from tenure_agent.archive.place import Place
from tenure_agent.records import DAY
from tenure_agent.store import Database, archive, export
from tenure_agent.store.archive import Reach
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.export import Archived, Moved, Wanted

PART_BYTES = 2 << 20  # a part is one gRPC message
MOST = 4  # files waiting to be read: of those whose reader went away, the oldest goes
ATTEMPTS = 5
KEPT = "export-"


class Exports:
    """One agent's.

    Parameters
    ----------
    place
        The archive, or None.
    """

    def __init__(self, database: Database, place: Place | None) -> None:
        self._database = database
        self._place = place
        self._kept: dict[str, Path] = {}
        for left in database.exports.glob(f"{KEPT}*"):  # by an agent that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)

    async def write(self, wanted: Wanted) -> dict[str, Any]:
        """Write the rows wanted: a name to read them by, how many rows, and how many of the archive's files were read.

        Raises
        ------
        TenureError
            There is no such model or version, or the archive cannot be read.
        """
        self._database.check_room()
        name = secrets.token_hex(8)
        path = self._database.exports / f"{KEPT}{name}"
        scratch = path.with_name(f"{path.name}.scratch")
        try:
            rows, files = await self._written(wanted, path, scratch)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        if not rows:
            path.unlink(missing_ok=True)
            await self._explain(wanted)
            return {"rows": 0, "archived_files": files}
        while len(self._kept) >= MOST:
            self._drop(next(iter(self._kept)))
        self._kept[name] = path
        return {"rows": rows, "archived_files": files, "name": name, "bytes": path.stat().st_size}

    async def part(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Some bytes of a file from an offset on; with the last of them the file goes."""
        name, offset = str(arguments.get("name")), int(arguments.get("offset", 0))
        path = self._kept.get(name)
        if path is None:
            raise TenureError(f"name: {name!r} is not there any more. Try: export again")
        data = await asyncio.to_thread(_read, path, offset)
        last = offset + len(data) >= path.stat().st_size
        if last:
            self._drop(name)
        return {"data": base64.b64encode(data).decode(), "last": last}

    def _drop(self, name: str) -> None:
        self._kept.pop(name).unlink(missing_ok=True)

    async def _written(self, wanted: Wanted, path: Path, scratch: Path) -> tuple[int, int]:
        share = 1
        for _ in range(ATTEMPTS):
            store, reach = await self._database.async_read(lambda cursor: _state(cursor, wanted.model))
            archived = await asyncio.to_thread(self._fetch, wanted, store, reach, scratch)

            def work(cursor: Cursor, archived: Archived = archived, reach: Reach = reach, share: int = share) -> int:
                cursor.begin()
                try:
                    return export.write(cursor, wanted, archived, reach, path, scratch, share)
                finally:
                    cursor.rollback()

            try:
                rows = await asyncio.wrap_future(self._database.ask(work))
            except (Moved, duckdb.OutOfMemoryException) as error:
                share *= 1 if isinstance(error, Moved) else 8
                await asyncio.to_thread(shutil.rmtree, scratch)
            else:
                return rows, len(archived.predictions) + len(archived.outcomes)
        raise TenureError("export: too much at a time. Try: a later --since, an earlier --until, or more store.memory")

    def _fetch(self, wanted: Wanted, store: str, reach: Reach, folder: Path) -> Archived:
        """Local copies of the archived files that hold what the store has no longer."""
        folder.mkdir()
        if self._place is None:
            return Archived()
        listed = {
            part: [file for name in self._place.names(names.folder(part, wanted.model)) if (file := names.read(name))]
            for part in ("predictions", "outcomes")
        }
        ours = [file for found in listed.values() for file in found if file.store == store]
        upto = max(
            (file.last for file in ours if file.first <= reach.expired and file.last <= reach.archived), default=0
        )
        days = {
            "predictions": (wanted.start // DAY, (wanted.end - 1) // DAY),
            "outcomes": (0, wanted.known // DAY),
        }
        local: dict[str, list[Path]] = {"predictions": [], "outcomes": []}
        for part, (first, last) in days.items():
            for i, file in enumerate(listed[part]):
                if first <= file.day <= last and (file.store != store or file.last <= upto):
                    self._database.check_room()
                    local[part].append(folder / f"{part}-{i}.parquet")
                    self._place.fetch(file.name, local[part][-1])
        return Archived(local["predictions"], local["outcomes"], upto)

    async def _explain(self, wanted: Wanted) -> None:
        """
        Raises
        ------
        TenureError
            Nothing was found because nobody knows the model or the version.
        """
        models = (await self._database.async_read(Catalogue)).models
        known = models.get(wanted.model)
        if known is None:
            told = ", ".join(models) or "wait for its first prediction"
            raise TenureError(f"model: {wanted.model!r} is unknown. Try: {told}")
        if wanted.version is not None and wanted.version not in known.versions:
            raise TenureError(f"version: {wanted.version!r} is unknown. Try: {', '.join(known.versions)}")


def _state(cursor: Cursor, name: str) -> tuple[str, Reach]:
    model = Catalogue(cursor).models.get(name)
    store = cursor.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
    return ("" if store is None else str(store[0])), Reach() if model is None else archive.reach(cursor, model.number)


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PART_BYTES)
