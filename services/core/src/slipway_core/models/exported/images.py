"""Pictures for tensor models: decoded with Pillow, resized, scaled and normalised."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from slipway_core.inputs.items import Item
from slipway_core.models.exported.preprocessing import Encoded, Refused
from slipway_core.package.datatypes import NUMPY_TYPES
from slipway_core.package.manifest import ImageInput, TensorSpec

MOST_PIXELS = 40_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class ImageEncoder:
    """Encodes pictures to [channels, height, width], channels being red, green and blue, or grey
    alone.
    """

    def __init__(self, spec: TensorSpec) -> None:
        _, self._channels, self._height, self._width = spec.shape
        self._type = NUMPY_TYPES[spec.datatype]
        self._scaled = spec.datatype != "UINT8"
        image = spec.image or ImageInput()
        self._mean = np.asarray(image.mean or 0.0, dtype=np.float32).reshape(-1, 1, 1)
        self._std = np.asarray(image.std or 1.0, dtype=np.float32).reshape(-1, 1, 1)

    def encode(self, items: Sequence[Item]) -> list[Encoded | Refused]:
        """One array for each picture; what is not a picture is refused alone."""
        return [self._encode(item.value) for item in items]

    def _encode(self, content: bytes) -> Encoded | Refused:
        try:
            picture = decode_picture(content, "L" if self._channels == 1 else "RGB")
        except ValueError as error:
            return Refused(str(error))
        resized = picture.resize((self._width, self._height), Image.Resampling.BILINEAR)
        pixels: npt.NDArray[Any] = np.asarray(resized)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if self._scaled:
            pixels = (pixels.astype(np.float32) / 255.0 - self._mean) / self._std
        return Encoded((pixels.astype(self._type),))


def decode_picture(content: bytes, mode: str) -> Image.Image:
    """The first frame of an encoded picture, upright. Raises ValueError for the caller to see."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of many pixels; the size is checked here, before decoding.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    raise ValueError(
                        f"the picture has {width} x {height} pixels, but may have {MOST_PIXELS} at "
                        "most"
                    )
                return ImageOps.exif_transpose(picture).convert(mode)
    except ValueError:
        raise
    except Exception as error:  # decoders raise errors of many kinds on damaged content
        kinds = ", ".join(FORMATS)
        raise ValueError(f"the picture cannot be decoded; it must be one of {kinds}") from error
