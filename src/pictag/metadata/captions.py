"""The title, description and categories that people gave an image, from XMP and IPTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pictag.metadata import xmp
from pictag.metadata.embedded import IptcFields, iptc_texts, read_blocks
from pictag.metadata.keywords import clean_line, unique
from pictag.metadata.packet import DC, PHOTOSHOP, Packet, parse_packet
from pictag.metadata.sidecar import existing_sidecars

# The properties and data sets of each field; the first one with a text counts.
_TITLE = (DC, "title"), (PHOTOSHOP, "Headline")
_DESCRIPTION = ((DC, "description"),)
_CATEGORIES = (PHOTOSHOP, "Category"), (PHOTOSHOP, "SupplementalCategories")
_IPTC_TITLE = (2, 5), (2, 105)  # ObjectName, Headline
_IPTC_DESCRIPTION = ((2, 120),)  # Caption-Abstract
_IPTC_CATEGORIES = (2, 15), (2, 20)  # Category, SupplementalCategories


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What people wrote about an image, each text as one line; empty where there is none.

    ``categories`` are words of any agency or program.
    """

    title: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()


def read_caption(image: str | Path) -> Caption:
    """The caption of an image: each field from its sidecars, else from the XMP, else the IPTC inside it.

    The title is ``dc:title``, ``photoshop:Headline``, or IPTC's ObjectName or Headline, the description
    ``dc:description`` or IPTC's Caption. Of several languages, the default counts. Raises `ImageNotFound`,
    `ImageUnreadable` or `MetadataError`.
    """
    path = Path(image)
    packets = [packet for sidecar in existing_sidecars(path) if (packet := xmp.read_packet(sidecar))]
    blocks = read_blocks(path, name=str(path))
    if blocks.xmp:
        packets.append(parse_packet(blocks.xmp, name=f"the XMP in {path}"))
    captions = [*map(_of_packet, packets), _of_iptc(blocks.iptc)]
    return Caption(
        title=_first(caption.title for caption in captions),
        description=_first(caption.description for caption in captions),
        categories=unique(word for caption in captions for word in caption.categories),
    )


def _of_packet(packet: Packet) -> Caption:
    return Caption(
        title=_first(text for name in _TITLE for text in packet.texts(name)),
        description=_first(text for name in _DESCRIPTION for text in packet.texts(name)),
        categories=tuple(text for name in _CATEGORIES for text in packet.texts(name)),
    )


def _of_iptc(fields: IptcFields) -> Caption:
    return Caption(
        title=_first(text for name in _IPTC_TITLE for text in iptc_texts(fields, name)),
        description=_first(text for name in _IPTC_DESCRIPTION for text in iptc_texts(fields, name)),
        categories=tuple(text for name in _IPTC_CATEGORIES for text in iptc_texts(fields, name)),
    )


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, map(clean_line, texts)), "")
