"""Owns the documents that are trusted: those of our own clients, known by their ids."""

import json
from collections.abc import Mapping
from pathlib import Path

from api.settings import PREFIX, BadSettings

LARGEST_ID_CHARACTERS = 200


def read(path: str) -> Mapping[str, str]:
    """The documents of a manifest by their ids, as GraphQL codegen's client preset writes it with
    `persistedDocuments`; none without a path. Raises `BadSettings`."""
    if not path:
        return {}
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSettings([f"{PREFIX}TRUSTED_DOCUMENTS cannot be read: {error}."]) from error
    if not isinstance(found, dict) or not all(map(_fits, found.items())):
        line = "is a JSON object of ids, of at most 200 characters, and their documents"
        raise BadSettings([f"{PREFIX}TRUSTED_DOCUMENTS {line}."])
    return found


def _fits(pair: tuple[str, object]) -> bool:
    document_id, text = pair
    return 0 < len(document_id) <= LARGEST_ID_CHARACTERS and isinstance(text, str)
